"""COCO scores: equal to pycocotools', and to be computed again from the stored matches."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Matches
from pytest_perfgate.stats.average_precision import mean_average_precision
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.detection.coco_scores import evaluate
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
METRICS = ("map", "map50", "map75")


def scene(
    seed: int,
    *,
    crowd: float = 0.0,
    ids: tuple[int, ...] = (1, 2, 3, 4, 5),
    first: int = 1,
    levels: int = 0,
) -> tuple[DetectionData, list[Prediction]]:
    """Random objects and detections near them; `levels` makes equal scores."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    predictions = []
    for image in ids:
        boxes, scores, categories = [], [], []
        for _ in range(random.integers(1, 6)):
            x, y = random.integers(20, 60, 2)
            width, height = random.integers(12, 40, 2)
            category = int(random.integers(3))
            annotations.append(
                {
                    "id": first + len(annotations),
                    "image_id": image,
                    "category_id": category + 1,
                    "bbox": [int(x), int(y), int(width), int(height)],
                    "iscrowd": int(random.random() < crowd),
                }
            )
            for _ in range(random.integers(0, 4)):
                shift = random.normal(0, 2, 4).clip(-5, 5)  # never inverts a box
                boxes.append(np.array([x, y, x + width, y + height]) + shift)
                scores.append(random.integers(1, levels + 1) / 8 if levels else random.random())
                categories.append(category if random.random() < 0.8 else int(random.integers(3)))
        order = np.argsort(-np.array(scores), kind="stable").astype(int)
        predictions.append(
            Prediction(
                np.array(boxes, np.float32).reshape(-1, 4)[order],
                np.array(scores, np.float32)[order],
                np.array(categories, np.int64)[order],
            )
        )
    coco = {
        "images": [{"id": image, "width": 120, "height": 120} for image in ids],
        "annotations": annotations,
        "categories": [{"id": row + 1, "name": f"kind {row}"} for row in range(3)],
    }
    pixels = [np.full((120, 120, 3), row, np.uint8) for row in range(len(ids))]
    return DetectionData(pixels, coco), predictions


def official(data: DetectionData, predictions: list[Prediction]) -> list[float]:
    """AP, AP50 and AP75 by pycocotools."""
    api = pytest.importorskip("pycocotools.coco", reason="pip install 'pytest-perfgate[test]'")
    from pycocotools.cocoeval import COCOeval

    rows = [
        {
            "image_id": entry["id"],
            "category_id": int(category) + 1,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "score": float(score),
        }
        for entry, result in zip(data.coco["images"], predictions, strict=True)
        for box, score, category in zip(
            result.boxes.tolist(), result.scores, result.categories, strict=True
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = api.COCO()
        truth.dataset = {
            **data.coco,
            "annotations": [
                {**entry, "area": entry["bbox"][2] * entry["bbox"][3]}
                for entry in data.coco["annotations"]
            ],
        }
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(value) for value in evaluator.stats[:3]]


def again(matches: Matches | None) -> list[float]:
    """AP, AP50 and AP75 from the stored matches."""
    assert matches is not None
    table = matches.table()
    return [mean_average_precision(table, bits) for bits in (tuple(range(10)), (0,), (5,))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("more", [{}, {"crowd": 0.3}, {"levels": 4}])
def test_scores_are_those_of_pycocotools(seed: int, more: dict[str, Any]) -> None:
    """The three metrics agree with the reference evaluator to 1e-6."""
    data, predictions = scene(seed, **more)
    accuracy = evaluate(data, predictions)
    assert [accuracy.values[name] for name in METRICS] == pytest.approx(
        official(data, predictions), abs=1e-6
    )
    assert accuracy.images == 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [0, 4])
def test_scores_come_again_from_the_matches(seed: int, levels: int) -> None:
    """The stored matches hold all that the scores rest on."""
    accuracy = evaluate(*scene(seed, levels=levels))
    assert again(accuracy.matches) == pytest.approx(
        [accuracy.values[name] for name in METRICS], abs=1e-9
    )


def test_scores_come_again_with_crowds() -> None:
    """A detection may lie on a crowd at one threshold and count at another."""
    for seed in range(25):
        accuracy = evaluate(*scene(seed, crowd=0.4))
        assert again(accuracy.matches)[0] == pytest.approx(accuracy.values["map"], abs=1e-9)


def test_scores_come_again_with_ignored_objects() -> None:
    """An object marked `ignore` counts in the matches as it counts in the score."""
    for seed in range(10):
        data, predictions = scene(seed)
        for entry in data.coco["annotations"][::3]:
            entry["ignore"] = 1
        accuracy = evaluate(data, predictions)
        assert again(accuracy.matches)[0] == pytest.approx(accuracy.values["map"], abs=1e-9)


def test_scores_come_again_when_image_ids_are_not_in_order() -> None:
    """Equal scores in several images are ranked alike by the evaluator and the matches."""
    for seed in range(25):
        accuracy = evaluate(*scene(seed, ids=(5, 3, 1, 2, 4), levels=3))
        assert again(accuracy.matches)[0] == pytest.approx(accuracy.values["map"], abs=1e-9)


@pytest.mark.filterwarnings("ignore:Found annotation id 0")
def test_an_annotation_may_have_the_id_0() -> None:
    """Numbering annotations from 0 or from 1 gives the same score."""
    for seed in range(10):
        zero, one = (evaluate(*scene(seed, first=first)).values for first in (0, 1))
        assert zero == one


def nothing(count: int) -> list[Prediction]:
    """No detection at all."""
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    return [Prediction(*empty)] * count


def test_no_detection_at_all_scores_zero() -> None:
    """A blind model is worth nothing, which is a score."""
    assert set(evaluate(scene(1)[0], nothing(5)).values.values()) == {0.0}


@pytest.mark.parametrize("blind", [False, True])
def test_data_without_objects_gives_no_score(blind: bool) -> None:
    """The evaluator's -1 is an error, never a score; with and without detections."""
    data, predictions = scene(1)
    empty = DetectionData(data.images, {**data.coco, "annotations": []})
    with pytest.raises(DataError, match="no score"):
        evaluate(empty, nothing(5) if blind else predictions)


def test_a_category_that_the_data_lacks_is_explained() -> None:
    """A model with more categories than the data is told so."""
    data, predictions = scene(1)
    far = [
        Prediction(prediction.boxes, prediction.scores, prediction.categories + 9)
        for prediction in predictions
    ]
    with pytest.raises(DataError):
        evaluate(data, far)


def test_a_category_without_objects_is_left_out() -> None:
    """It neither lowers the mean nor appears beside the others."""
    data, predictions = scene(2)
    wider = {
        **data.coco,
        "categories": [*data.coco["categories"], {"id": 9, "name": "absent"}],
    }
    one, other = (
        evaluate(data, predictions),
        evaluate(DetectionData(data.images, wider), predictions),
    )
    assert one.values == other.values
    assert "absent" not in other.per_category


def test_a_category_of_crowds_alone_has_no_score_either() -> None:
    """Whether anything was detected or nothing: there is no object of it to find."""
    data, predictions = scene(2)
    crowd = {**data.coco["annotations"][0], "id": 4711, "category_id": 9, "iscrowd": 1}
    wider = {
        **data.coco,
        "annotations": [*data.coco["annotations"], crowd],
        "categories": [*data.coco["categories"], {"id": 9, "name": "crowds"}],
    }
    for result in (predictions, nothing(len(data.images))):
        assert "crowds" not in evaluate(DetectionData(data.images, wider), result).per_category


def test_digests_follow_predictions_and_data() -> None:
    """Equal inputs have equal digests; another pixel or score has another."""
    data, predictions = scene(3)
    one = evaluate(data, predictions)
    assert evaluate(*scene(3)).predictions_digest == one.predictions_digest
    assert evaluate(*scene(3)).data_digest == one.data_digest
    moved = [Prediction(p.boxes, p.scores * np.float32(0.5), p.categories) for p in predictions]
    assert evaluate(data, moved).predictions_digest != one.predictions_digest
    other = DetectionData([image + 1 for image in data.images], data.coco)
    assert evaluate(other, predictions).data_digest != one.data_digest


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"image_id": 77}, "image 77"),
        ({"category_id": 77}, "category 77"),
        ({"bbox": [0, 0, -3, 4]}, r"\[0, 0, -3, 4\]"),
        ({"bbox": [0, 0, True, 4]}, "True"),
        ({"bbox": None}, "the box None"),
        ({"iscrowd": 2}, "iscrowd 2"),
        ({"bbox": [0, 0, float("nan"), 4]}, "nan"),
        ({"bbox": [0, 0, 4]}, r"\[0, 0, 4\]"),
        ({"area": "large"}, "'large'"),
        ({"area": float("inf")}, "inf"),
        ({"image_id": None}, "image None"),
        ({"category_id": [1]}, r"category \[1\]"),
    ],
)
def test_a_wrong_annotation_is_named(change: dict[str, Any], word: str) -> None:
    """The annotation's id and the value stand in the error."""
    data, _ = scene(1)
    wrong = {**data.coco["annotations"][0], "id": 4711, **change}
    with pytest.raises(DataError, match=word) as caught:
        DetectionData(data.images, {**data.coco, "annotations": [wrong]})
    assert "4711" in str(caught.value)


def test_images_and_entries_must_fit() -> None:
    """Counts that differ, ids that repeat, and no images at all are errors."""
    data, _ = scene(1)
    with pytest.raises(DataError, match="4 images and 5 entries"):
        DetectionData(data.images[:4], data.coco)
    twice = [data.coco["images"][0]] * 5
    with pytest.raises(DataError, match="one id"):
        DetectionData(data.images, {**data.coco, "images": twice})
    with pytest.raises(DataError, match="no images"):
        DetectionData([], {**data.coco, "images": []})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image and its instances."""
    image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")
    (tmp_path / "images").mkdir()
    image.fromarray(np.full((6, 8, 3), 9, np.uint8)).save(tmp_path / "images" / "a.png")
    write(tmp_path, "a.png")
    return tmp_path


def write(folder: Path, name: str) -> None:
    """Instances of one image of that file name."""
    coco = {
        "images": [{"id": 1, "width": 8, "height": 6, "file_name": name}],
        "annotations": [],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "instances.json").write_text(json.dumps(coco))


SOURCE = {"images": "images", "annotations": "instances.json"}


def test_a_folder_is_read_as_rgb(folder: Path) -> None:
    """Images are decoded to uint8 (H, W, 3)."""
    data = Detection().load(SOURCE, folder, folder)
    assert data.images[0].shape == (6, 8, 3)
    assert data.images[0].dtype == np.uint8
    assert len(data.digests) == 1


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "b.png"])
def test_a_file_name_may_not_leave_its_folder(folder: Path, name: str) -> None:
    """A file outside, or one that is not there, is an error that names it."""
    (folder / "secret.png").write_bytes((folder / "images" / "a.png").read_bytes())
    write(folder, name)
    with pytest.raises(DataError, match=name):
        Detection().load(SOURCE, folder, folder)


@pytest.mark.parametrize("key", ["images", "annotations"])
def test_a_path_may_not_leave_the_root(folder: Path, key: str) -> None:
    """A data set lies inside the project."""
    with pytest.raises(DataError, match="leaves"):
        Detection().load({**SOURCE, key: "../.."}, folder, folder)


def test_broken_files_are_named(folder: Path) -> None:
    """JSON that does not parse, and pixels that do not decode."""
    (folder / "images" / "a.png").write_bytes(b"no picture")
    data = Detection().load(SOURCE, folder, folder)
    with pytest.raises(DataError, match=r"a\.png"):
        data.images[0]
    (folder / "instances.json").write_text("{")
    with pytest.raises(DataError, match=r"instances\.json"):
        Detection().load(SOURCE, folder, folder)


def test_a_function_must_return_detection_data(tmp_path: Path) -> None:
    """Another type is named."""

    def wrong() -> Any:
        return [1]

    with pytest.raises(DataError, match="returned list"):
        Detection().load(wrong, tmp_path, tmp_path)


def test_scores_without_a_detection_at_the_operating_point_say_so() -> None:
    """A point is declared and nothing reaches its score: precision and recall are 0, and the mean
    score is not measured for that reason, not for want of a point.
    """
    data, predictions = scene(3)
    task = Detection()
    clean = task.evaluate(data, predictions)
    wanted = task.Output(operating_point={"score": 1.0})
    scored = clean.with_ratios(task.score_at(data, predictions, wanted))
    assert (scored.values["precision"], scored.values["recall"]) == (0, 0)
    assert scored.unmeasured["confidence"].startswith("no prediction has at least the score")
    assert "no operating point is declared" in clean.unmeasured["confidence"]
