"""COCO's keypoints from a folder and from a function; what is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.pose import Pose
from pytest_perfgate.tasks.pose.data import PoseData, as_poses
from pytest_perfgate.tasks.pose.losses import truth
from pytest_perfgate.tasks.pose.scores import ignored_objects

from tests.tasks.pose.scenes import NAMES, SIGMAS, scene


def folder(place: Path, coco: dict[str, Any]) -> dict[str, Any]:
    """A declared data set of the tables."""
    from PIL import Image

    (place / "images").mkdir(parents=True)
    for row, entry in enumerate(coco["images"]):
        entry["file_name"] = f"{row}.png"
        pixels = np.full((entry["height"], entry["width"], 3), row, np.uint8)
        Image.fromarray(pixels).save(place / "images" / f"{row}.png")
    (place / "keypoints.json").write_text(json.dumps(coco))
    return {"images": "images", "annotations": "keypoints.json"}


def test_a_folder_gives_what_the_function_gives(tmp_path: Path) -> None:
    """The same images, objects and keypoints; without annotations the images alone."""
    data, predictions = scene(1)
    declared = folder(tmp_path, copy.deepcopy(data.coco))
    read = Pose().read({**declared, "sigmas": list(SIGMAS)}, tmp_path, tmp_path)
    assert read.keypoints.names == NAMES
    assert np.array_equal(read.keypoints.points, data.keypoints.points)
    task = Pose()
    assert task.evaluate(read, predictions).values == task.evaluate(data, predictions).values
    alone = task.read({"images": "images"}, tmp_path, tmp_path)
    assert not alone.annotated
    assert len(alone.images) == len(data.images)


def first(coco: dict[str, Any]) -> dict[str, Any]:
    """The first annotation."""
    entry: dict[str, Any] = coco["annotations"][0]
    return entry


WRONG = {
    "another task": (
        lambda coco: (
            [entry.pop("keypoints") for entry in coco["annotations"]]
            + [entry.pop("keypoints") for entry in coco["categories"]]
        ),
        r"no annotation has keypoints: these are instances of another task",
    ),
    "too few": (
        lambda coco: first(coco)["keypoints"].pop(),
        r"annotations\[0\] \(id 10\) has 8 numbers as its keypoints, and there are 3 keypoints\n"
        r" *valid: 9 numbers",
    ),
    "visibility": (
        lambda coco: first(coco)["keypoints"].__setitem__(5, 3),
        r"annotations\[0\] \(id 10\) has keypoints\[5\], a visibility, 3\n *valid: .*0 \(not",
    ),
    "not finite": (
        lambda coco: first(coco)["keypoints"].__setitem__(1, float("nan")),
        r"annotations\[0\] \(id 10\) has keypoints\[1\] nan",
    ),
    "fractions": (
        lambda coco: [entry.update(keypoints=[0.5, 0.25, 2] * 3) for entry in coco["annotations"]],
        r"all \d+ keypoints are within 0 and 1: they are fractions",
    ),
    "two skeletons": (
        lambda coco: coco["categories"].append(
            {"id": 9, "name": "bird", "keypoints": ["beak", "tail"]}
        ),
        r"'kind 0' has the keypoints head, neck, tail, and 'bird' has beak, tail",
    ),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, change: Any, message: str) -> None:
    """One message with the file, the entry, the value, and what is valid."""
    coco = copy.deepcopy(scene(1)[0].coco)
    change(coco)
    declared = folder(tmp_path, coco) | {"sigmas": list(SIGMAS)}
    with pytest.raises(DataError, match=message) as caught:
        Pose().read(declared, tmp_path, tmp_path)
    assert "keypoints.json" in str(caught.value)


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ((), r"(?s)the 3 keypoints \(head, neck, tail, …\) are not COCO's .* sigmas = "),
        ((0.1, 0.1), "there are 2 sigmas and 3 keypoints"),
        ((0.1, 0.1, 2), r"sigmas\[2\] is 2\n *valid: a number from 0 to 1"),
    ],
)
def test_a_skeleton_of_ones_own_declares_its_sigmas(
    sigmas: tuple[float, ...], message: str
) -> None:
    """Those of a person would make its scores mean nothing."""
    data, _ = scene(1)
    with pytest.raises(DataError, match=message):
        PoseData(data.images, data.coco, sigmas)


def test_objects_without_keypoints_are_ignored_and_counted() -> None:
    """A null list, and a declared number that is none; notes say how many."""
    data, _ = scene(1)
    coco = copy.deepcopy(data.coco)
    coco["annotations"][0] |= {"keypoints": None, "num_keypoints": 0}
    coco["annotations"][1]["num_keypoints"] = 7
    notes = PoseData(data.images, coco, SIGMAS).notes
    assert any(note.startswith("1 of ") and "no list of keypoints" in note for note in notes)
    assert any("another num_keypoints" in note for note in notes)


def test_top_down_networks_get_a_picture_for_each_object(tmp_path: Path) -> None:
    """Cut around its box with its padding and shape, black outside, the keypoints moved along."""
    data, _ = scene(3)
    declared = folder(tmp_path, copy.deepcopy(data.coco)) | {"sigmas": list(SIGMAS)}
    whole = Pose().read(declared, tmp_path, tmp_path)
    cut = Pose().read({**declared, "crop": {"aspect": 0.5}}, tmp_path, tmp_path)
    found = np.flatnonzero(~ignored_objects(whole))
    assert len(cut.images) == len(found) == len(cut.instances.boxes)
    assert cut.digests  # every image has the size of its entry
    assert not ignored_objects(cut).any()
    for index, row in enumerate(sorted(found, key=lambda one: whole.instances.image[one])):
        image = cut.images[index]
        x, _, width, height = cut.instances.boxes[index]
        assert image.shape[1] == pytest.approx(1.25 * max(width, 0.5 * height), abs=1)
        assert image.shape[0] == pytest.approx(2 * image.shape[1], abs=2)
        assert x + width / 2 == pytest.approx(image.shape[1] / 2, abs=1)
        labelled = whole.keypoints.labelled[row]
        assert (cut.keypoints.labelled[index] == labelled).all()
        moved = whole.keypoints.points[row] - cut.keypoints.points[index]
        assert np.ptp(moved[labelled], axis=0) == pytest.approx([0, 0], abs=1e-9)
        left, top = moved[labelled][0].round().astype(int)
        inside = image[max(0, -top), max(0, -left)]
        assert inside.tolist() == [whole.instances.image[row]] * 3  # the colour of its picture
        if top < 0:
            assert (image[0] == 0).all()
    truths = [as_poses((one.points, one.scores, one.categories)) for one in truth(cut)]
    assert Pose().evaluate(cut, truths).values["oks_map"] == 1.0


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ({"padding": 0.5}, r"crop\.padding is 0\.5: .*\n *valid: crop = "),
        ({"ratio": 1}, r"crop\.ratio is 1"),
        ("yes", r"crop is 'yes'"),
    ],
)
def test_a_wrong_crop_is_refused(tmp_path: Path, crop: Any, message: str) -> None:
    """With the key, its value and what is valid."""
    declared = folder(tmp_path, copy.deepcopy(scene(3)[0].coco)) | {"sigmas": list(SIGMAS)}
    with pytest.raises(DataError, match=message):
        Pose().read({**declared, "crop": crop}, tmp_path, tmp_path)
