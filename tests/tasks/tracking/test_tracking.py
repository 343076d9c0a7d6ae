"""The task of tracking: its data, its trackers, what it scores and what it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.errors import DataError, PerfgateError, RecipeError
from pytest_perfgate.tasks.tracking import Tracking
from pytest_perfgate.tasks.tracking.data import Objects, TrackingData, Tracks
from pytest_perfgate.tasks.tracking.iou_tracker import IouTracker
from pytest_perfgate.tasks.tracking.output import Output
from pytest_perfgate.tasks.tracking.trackers import Trackers

TASK = Tracking()
SIDE = 40


def box(left: float, top: float = 4.0, size: float = 10.0) -> list[float]:
    """Corners of a square."""
    return [left, top, left + size, top + size]


def tracks(boxes: list[list[float]], ids: list[int], frame: int, scores: Any = 0.9) -> Tracks:
    """What a tracker says of one frame, of one class."""
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Tracks(
        corners,
        np.broadcast_to(np.float32(scores), len(ids)).copy(),
        np.zeros(len(ids), np.int64),
        np.array(ids, np.int64),
        frame,
    )


def two_objects(sequences: int = 2, frames: int = 6) -> TrackingData:
    """Two squares that move to the right in each sequence."""
    images = [np.full((SIDE, SIDE, 3), index, np.uint8) for index in range(sequences * frames)]
    objects = [
        Objects.of([box(frame), box(frame + 15, 20)], [1, 2])
        for _ in range(sequences)
        for frame in range(frames)
    ]
    return TrackingData(images, [frames] * sequences, objects)


def right(data: TrackingData) -> list[Tracks]:
    """Tracks without an error."""
    return [
        tracks(one.boxes.tolist(), one.ids.tolist(), data.sequence_of(index)[1])
        for index, one in enumerate(data.objects)
    ]


def switched(data: TrackingData, at: int) -> list[Tracks]:
    """The same, where from frame `at` on two tracks of the first sequence have changed places."""
    every = right(data)
    for index in range(at, data.sequences[0]):
        one = every[index]
        every[index] = Tracks(one.boxes, one.scores, one.categories, one.ids[::-1], one.frame)
    return every


def test_scores_are_of_sequences_and_so_is_their_uncertainty() -> None:
    """One switch of two objects: half of two sequences has the wrong identity from there on."""
    data = two_objects()
    perfect, worse = (TASK.evaluate(data, one) for one in (right(data), switched(data, 3)))
    assert set(perfect.values) == {"hota", "deta", "assa", "mota", "idf1", "id_switches"}
    assert perfect.values["hota"] == perfect.values["idf1"] == 1.0
    assert (perfect.images, perfect.unit) == (2, "sequence")
    assert perfect.per_category == {"object": 1.0}
    assert any("rest on 2 sequences" in note for note in perfect.notes)
    assert worse.values["deta"] == 1.0
    assert worse.values["id_switches"] == 2.0
    assert worse.values["mota"] == pytest.approx(1 - 2 / 24)
    assert worse.values["idf1"] == pytest.approx(18 / 24)
    assert worse.ratios["hota"].numerator.shape == (2,)


def test_recipes_are_compared_without_the_truth() -> None:
    """Agreement is identity with the reference's tracks as the truth; whatever their numbers."""
    data = two_objects()
    reference = TASK.pack(right(data))
    same = TASK.compare(TASK.pack(right(data)), reference)
    other = TASK.compare(TASK.pack(switched(data, 3)), reference)
    assert same["agreement"][0].tolist() == same["agreement"][1].tolist() == [24.0, 24.0]
    assert other["agreement"][0].tolist() == [12.0, 24.0]
    lower = [tracks(one.boxes.tolist(), one.ids.tolist(), one.frame, 0.4) for one in right(data)]
    top, bottom = TASK.compare(TASK.pack(lower), reference)["score_shift"]
    assert top / bottom == pytest.approx([0.5, 0.5])


def test_the_frame_in_which_identities_are_lost_is_shown() -> None:
    """With the numbers of objects and tracks; a run of lost frames is shown once."""
    data = two_objects()
    packed = [TASK.pack(one) for one in (switched(data, 4), right(data))]
    (image,) = TASK.worse(data, *packed, 4)
    assert (image.image, image.loss) == (4, 2.0)
    assert [one.category for one in image.reference] == ["object #1", "object #2"]
    assert [one.category for one in image.recipe] == ["object #2", "object #1"]
    assert TASK.objects(data, 4)[0] == "frame 4 of sequence 0"
    assert TASK.worse(data, packed[1], packed[1], 4) == []


def test_boxes_on_ignored_objects_do_not_count() -> None:
    """A box that is given to an ignored object is neither right nor wrong; one that is nearer to a
    true object is right.
    """
    objects = [Objects.of([box(0), box(20)], [1, 2], [0, -1], [False, True]) for _ in range(3)]
    data = TrackingData([np.zeros((SIDE, SIDE, 3), np.uint8) + n for n in range(3)], [3], objects)
    both = [tracks([box(0), box(21)], [7, 8], frame) for frame in range(3)]
    assert TASK.evaluate(data, both).values["mota"] == 1.0
    far = [tracks([box(0), box(21, 25)], [7, 8], frame) for frame in range(3)]
    assert TASK.evaluate(data, far).values["mota"] == 0.0


def test_data_without_tracks_have_no_scores() -> None:
    """They say why; agreement needs none."""
    plain = two_objects()
    data = TrackingData(plain.images, plain.sequences)
    accuracy = TASK.evaluate(data, right(plain))
    assert accuracy.values == {}
    assert accuracy.unmeasured["hota"] == "the data has no tracks"


def test_the_tracker_follows_through_a_gap_and_a_low_score() -> None:
    """A moving box keeps its number; a new one, and another sequence, begin with numbers of their
    own.
    """
    trackers = Trackers("iou", {"max_missed": 2})
    from pytest_perfgate.tasks.detection.data import Prediction

    def detections(boxes: list[list[float]], scores: list[float]) -> Prediction:
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        return Prediction(corners, np.array(scores, np.float32), np.zeros(len(boxes), np.int64))

    steps = [
        detections([box(0)], [0.9]),
        detections([box(4)], [0.9]),
        detections([box(8)], [0.3]),  # too low to begin a track, enough to continue one
        detections([], []),
        detections([box(16), box(0, 25)], [0.9, 0.9]),
        detections([box(20), box(0, 25)], [0.9, 0.3]),
    ]
    trackers.begin(1)
    ids = [trackers.update([one])[0].ids.tolist() for one in steps]
    assert ids == [[1], [1], [1], [], [1, 2], [1, 2]]
    trackers.begin(2)
    first, second = trackers.update([steps[0], steps[4]])
    assert (first.ids.tolist(), second.ids.tolist(), first.frame) == ([1], [1, 2], 0)


def test_the_tracker_ends_tracks_and_keeps_categories_apart() -> None:
    """A track that was missing for too long does not come back."""
    tracker = IouTracker(max_missed=1, min_hits=2)
    one = np.array([box(0)], np.float32), np.array([0.9], np.float32)
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)

    def ids(category: int) -> list[int]:
        return [int(n) for n in tracker.update(*one, np.array([category]))[3]]

    assert ids(0) == []  # a track is given out from its second detection on
    assert ids(0) == [1]
    assert ids(1) == []
    assert ids(0) == [1]
    for _ in range(2):
        tracker.update(*none)
    assert ids(0) == []


class Silent:
    """No tracker."""


class Wrong:
    """A tracker whose ids are numbers of another kind."""

    def update(self, boxes: Any, scores: Any, categories: Any) -> Any:
        """Ids that are no whole numbers."""
        return boxes, scores, categories, scores


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("Silent", {}, "has no method update"),
        ("Silent", {"speed": 3}, "cannot be made"),
        ("Wrong", {}, "ids of float32"),
    ],
)
def test_a_tracker_of_the_project_is_checked(name: str, options: Any, part: str) -> None:
    """The message names it and what is valid."""
    from pytest_perfgate.tasks.detection.data import Prediction

    detections = Prediction(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, int))
    trackers = Trackers(f"{__name__}:{name}", options)
    with pytest.raises(DataError) as refused:
        trackers.update([detections])
    assert part in str(refused.value)
    assert "suite.output.tracker" in str(refused.value)


def test_options_of_the_tracker_are_checked_when_the_suite_is_read() -> None:
    """Unknown keys, and names that are no class."""
    with pytest.raises(RecipeError, match="min_iuo") as refused:
        Output(tracker_options={"min_iuo": 0.3})
    assert "min_iou" in refused.value.valid
    with pytest.raises(ValidationError, match="import path"):
        Output(tracker="byte track")
    with pytest.raises(RecipeError, match=r"suite\.output\.tracker"):
        Trackers("nothing.here:Tracker", {})
    own = Output(postprocess="a.b:c", tracker_options={"min_iou": 0.3})
    assert own.tracker_options == {"min_iou": 0.3}


def mot_folder(folder: Path, sequences: int = 2, frames: int = 4) -> None:
    """MOTChallenge's layout: a pedestrian, one that is not counted, and a reflection."""
    from PIL import Image

    for number in range(sequences):
        place = folder / f"MOT-{number:02}"
        (place / "img1").mkdir(parents=True)
        (place / "gt").mkdir()
        lines = []
        for frame in range(1, frames + 1):
            pixels = np.full((SIDE, SIDE, 3), 10 * number + frame, np.uint8)
            Image.fromarray(pixels).save(place / "img1" / f"{frame:06}.png")
            lines += [
                f"{frame},1,{frame},4,10,10,1,1,1.0",
                f"{frame},2,20,4,10,10,0,1,1.0",
                f"{frame},3,4,25,10,10,1,12,0.5",
            ]
        (place / "gt" / "gt.txt").write_text("\n".join(lines) + "\n")
        (place / "seqinfo.ini").write_text(
            f"[Sequence]\nname=MOT-{number:02}\nimDir=img1\nframeRate=25\nseqLength={frames}\n"
            f"imWidth={SIDE}\nimHeight={SIDE}\nimExt=.png\n"
        )


def test_folders_of_motchallenge(tmp_path: Path) -> None:
    """Objects of conf 0 are there but not counted, distractors are ignored."""
    mot_folder(tmp_path / "train")
    data = TASK.load({"sequences": "train"}, tmp_path, tmp_path)
    assert (list(data.sequences), list(data.names)) == ([4, 4], ["MOT-00", "MOT-01"])
    assert list(data.classes) == ["pedestrian"]
    objects = data.objects[5]
    assert objects.boxes[0].tolist() == box(2)
    assert objects.categories.tolist() == [0, -1, -1]
    assert objects.ignored.tolist() == [False, False, True]
    assert data.place(5) == "frame 1 of sequence MOT-01"
    assert any("not counted" in note and "8 boxes" in note for note in data.notes)
    named = TASK.load(
        {"sequences": "train", "classes": ["person", "glass"], "ids": [1, 12]}, tmp_path, tmp_path
    )
    assert named.objects[0].categories.tolist() == [0, -1, 1]
    assert named.digest != data.digest


@pytest.mark.parametrize(
    ("file", "change", "parts"),
    [
        ("gt/gt.txt", ("1,1,1,4", "9,1,1,4"), ("line 1", "it is of frame 9", "1 to 4")),
        ("gt/gt.txt", ("1,2,20", "1,1,20"), ("line 2", "two boxes of the object 1")),
        ("gt/gt.txt", ("1,1,1,4,10", "1,one,1,4,10"), ("line 1", "frame, id, left, top")),
        ("seqinfo.ini", ("seqLength=4", "seqLength=5"), ("seqLength = 5", "img1 has 4 frames")),
        ("seqinfo.ini", ("imWidth=40", "imWidth=80"), ("40 x 40 pixels", "says 80 x 40")),
        ("seqinfo.ini", ("[Sequence]", "[Sequenz]"), ("it cannot be read", "[Sequence] with")),
    ],
)
def test_a_wrong_folder_is_one_message(
    tmp_path: Path, file: str, change: tuple[str, str], parts: tuple[str, ...]
) -> None:
    """The file, the line, the value, and what is valid."""
    mot_folder(tmp_path / "train")
    wrong = tmp_path / "train" / "MOT-00" / file
    text = wrong.read_text()
    assert change[0] in text
    wrong.write_text(text.replace(*change, 1))
    with pytest.raises(DataError) as refused:
        TASK.load({"sequences": "train"}, tmp_path, tmp_path)
    for part in ("MOT-00", *parts):
        assert part in str(refused.value)


def test_a_gap_and_another_size_are_refused(tmp_path: Path) -> None:
    """A frame that is missing in the middle; a frame of another size, when it is decoded."""
    from PIL import Image

    mot_folder(tmp_path / "train")
    frame = tmp_path / "train" / "MOT-00" / "img1" / "000003.png"
    Image.fromarray(np.zeros((SIDE, SIDE + 8, 3), np.uint8)).save(frame)
    data = TASK.load({"sequences": "train"}, tmp_path, tmp_path)
    with pytest.raises(DataError) as refused:
        _ = data.digest
    assert "frame 2 of sequence MOT-00 has 48 x 40 pixels, and the first frame 40 x 40" in str(
        refused.value
    )
    assert "000003.png" in str(refused.value)
    frame.unlink()
    with pytest.raises(DataError, match=r"frames 1 to 4 1 are missing \(3\)"):
        TASK.load({"sequences": "train"}, tmp_path, tmp_path)


def coco_video() -> dict[str, Any]:
    """Two videos whose images are not in their order."""
    images = [
        {"id": 10 * video + frame, "video_id": video, "frame_id": frame, "file_name": name}
        for video in (1, 2)
        for frame in (2, 0, 1)
        for name in (f"{video}/{frame}.png",)
    ]
    return {
        "videos": [{"id": 2, "name": "second"}, {"id": 1, "name": "first"}],
        "images": images,
        "annotations": [
            {
                "id": number,
                "image_id": image["id"],
                "category_id": 5,
                "instance_id": 40,
                "bbox": [image["frame_id"], 4, 10, 10],
                "iscrowd": int(number == 3),
            }
            for number, image in enumerate(images)
        ],
        "categories": [{"id": 5, "name": "car"}],
    }


def write_coco_video(folder: Path, coco: dict[str, Any]) -> None:
    """The file, and its images."""
    from PIL import Image

    for image in coco["images"]:
        file = folder / "images" / image["file_name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE, 3), image["id"], np.uint8)).save(file)
    (folder / "videos.json").write_text(json.dumps(coco))


DECLARED = {"images": "images", "annotations": "videos.json"}


def test_a_coco_video_file(tmp_path: Path) -> None:
    """Videos in the file's order, frames in that of their numbers; crowds are ignored."""
    write_coco_video(tmp_path, coco_video())
    data = TASK.load(DECLARED, tmp_path, tmp_path)
    assert list(data.names) == ["second", "first"]
    assert [int(image[0, 0, 0]) for image in data.images] == [20, 21, 22, 10, 11, 12]
    assert [one.boxes[0, 0] for one in data.objects] == [0, 1, 2, 0, 1, 2]
    assert [bool(one.ignored[0]) for one in data.objects] == [False, False, True, *[False] * 3]
    assert data.objects[0].ids.tolist() == [40]
    assert list(data.classes) == ["car"]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda coco: coco.pop("videos"), ("no list 'videos'", "COCO-VID")),
        (
            lambda coco: coco["images"][0].update(video_id=3),
            ("images[0] names the video 3", "2, 1"),
        ),
        (lambda coco: coco["images"][0].update(frame_id=5), ("a gap", "video first")),
        (lambda coco: coco["images"][0].update(frame_id=0), ("'first' are frame 0",)),
        (lambda coco: coco["images"][0].update(frame_id="x"), ("frame_id 'x'", "a whole number")),
        (
            lambda coco: coco["annotations"][1].pop("instance_id"),
            ("annotations[1] (id 1) has the instance_id None", "track_id"),
        ),
        (
            lambda coco: coco["annotations"].append({**coco["annotations"][0], "id": 99}),
            ("two objects of a frame have one id",),
        ),
    ],
)
def test_a_wrong_coco_video_file_is_one_message(
    tmp_path: Path, change: Any, parts: tuple[str, ...]
) -> None:
    """The file, the entry, its value, and what is valid."""
    coco = coco_video()
    change(coco)
    write_coco_video(tmp_path, coco)
    with pytest.raises(PerfgateError) as refused:
        TASK.load(DECLARED, tmp_path, tmp_path)
    for part in ("videos.json", *parts):
        assert part in str(refused.value)


def test_pictures_in_tiles_are_tracked_whole() -> None:
    """The options of input and output are checked against each other, as a detector's."""
    tiles = TASK.Input.model_validate({"size": [32, 32], "resize": "tiles"})
    assert TASK.pipeline(tiles, Output()).in_tiles
    TASK.check_together(TASK.Input(), Output())
    with pytest.raises(RecipeError, match="no row for each tile"):
        TASK.check_together(tiles, Output(decode="nms_rows"))
