"""Masks in COCO files as people have them: the right pixels, or one error that names the entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.instances import Instances
from pytest_perfgate.tasks.instances.data import InstanceData

from tests.tasks import mask_scenes

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")
pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")

SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]


def coco(**fields: Any) -> dict[str, Any]:
    """One image of 64 x 48 with a square, and fields of its annotation."""
    entry = {"id": 7, "image_id": 1, "category_id": 1, "segmentation": [SQUARE]} | fields
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "annotations": [entry],
        "categories": [{"id": 1, "name": "square"}],
    }


def data(**fields: Any) -> InstanceData:
    """The annotation with a black picture."""
    return InstanceData([np.zeros((48, 64, 3), np.uint8)], coco(**fields))


def test_polygons_and_runs_are_the_same_mask() -> None:
    """Of one polygon, of two that make it up, of runs as numbers and as text."""
    size = [48, 64]
    pixels = np.zeros((48, 64), bool)
    pixels[10:30, 10:30] = True
    numbers = mask_scenes.runs(pixels)
    mask = pytest.importorskip("pycocotools.mask", reason="pip install 'pytest-perfgate[test]'")
    text = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()
    upper = [10, 10, 30, 10, 30, 20, 10, 20]
    lower = [10, 20, 30, 20, 30, 30, 10, 30]
    for outline in (
        [SQUARE],
        [upper, lower],
        np.array([SQUARE]),
        {"size": size, "counts": numbers},
        {"size": size, "counts": text},
        {"size": size, "counts": text.encode()},
    ):
        read = data(segmentation=outline)
        np.testing.assert_array_equal(read.masks(np.array([0]), 0).pixels(0), pixels)
        assert read.instances.areas.tolist() == [400.0]
        assert read.instances.boxes.tolist() == [[10, 10, 20, 20]]
        assert read.digest
    kept = data(area=300, bbox=np.array([1, 2, 40, 30])).instances
    assert (kept.areas.tolist(), kept.boxes.tolist()) == ([300.0], [[1, 2, 40, 30]])


def test_sizes_are_the_pictures_where_the_file_says_nothing() -> None:
    """Width and height are optional; then the picture is decoded."""
    entries = coco()
    del entries["images"][0]["width"]
    read = InstanceData([np.zeros((48, 64, 3), np.uint8)], entries)
    assert read.masks(np.array([0]), 0).size == (48, 64)


def test_a_mask_without_a_pixel_is_left_out_and_counted() -> None:
    """Outside of its picture; the report says so."""
    entries = coco()
    away = [70.0, 60.0, 90.0, 60.0, 90.0, 80.0]
    entries["annotations"].append(entries["annotations"][0] | {"segmentation": [away], "id": 8})
    read = InstanceData([np.zeros((48, 64, 3), np.uint8)], entries)
    assert len(read.instances.image) == 1
    assert "1 without area (the first: annotations[1] (id 8))" in read.instances.notes[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"segmentation": [[1, 2, 3, 4]]}, ("annotations[0] (id 7)", "[1, 2, 3, 4]", "polygons")),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, ("annotations[0]",)),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, ("annotations[0]",)),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, ("annotations[0]",)),
        ({"segmentation": SQUARE}, ("annotations[0]", "polygons")),
        ({"segmentation": {"counts": [1]}}, ("annotations[0]", "size")),
        ({"segmentation": {"size": [48, 64], "counts": "~~~"}}, ("annotations[0]",)),
        (
            {"segmentation": {"size": [48, 64], "counts": [5, 5]}},
            ("annotations[0]", "runs are of 10 pixels", "'a.png' has 3072"),
        ),
        (
            {"segmentation": {"size": [64, 48], "counts": [3072]}},
            ("a mask of 48 x 64 pixels", "image 'a.png' has 64 x 48", "interchanged"),
        ),
        (
            {"segmentation": {"size": [24, 32], "counts": [768]}},
            ("a mask of 32 x 24 pixels", "64 x 48", "scale the mask"),
        ),
        ({"segmentation": None}, ("none of the 1 annotations", 'task = "detection"')),
        ({"segmentation": [], "keypoints": [1]}, ("keypoints without masks",)),
        ({"segmentation": [], "caption": "a dog"}, ("captions",)),
        ({"segmentation": [], "segments_info": []}, ("panoptic segments",)),
    ],
)
def test_a_mask_that_is_none_is_named(fields: dict[str, Any], words: tuple[str, ...]) -> None:
    """The entry, its value, what is valid."""
    with pytest.raises(DataError) as error:
        data(**fields)
    for word in words:
        assert word in str(error.value)


def test_a_folder_is_read(tmp_path: Path) -> None:
    """COCO's folder: pictures and a file of instances; the error of an entry names the file."""
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "images/a.png")
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(coco()))
    declared = {"images": "images", "annotations": "instances.json"}
    read = Instances().read(declared, tmp_path, tmp_path)
    assert read.annotated
    assert read.masks(np.array([0]), 0).areas().tolist() == [400]
    assert not Instances().read({"images": "images"}, tmp_path, tmp_path).annotated
    file.write_text(json.dumps(coco(segmentation={"size": [4, 4], "counts": [16]})))
    with pytest.raises(DataError, match=r"instances\.json: .*a mask of 4 x 4 pixels"):
        Instances().read(declared, tmp_path, tmp_path)
