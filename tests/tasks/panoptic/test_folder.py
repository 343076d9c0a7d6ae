"""COCO's panoptic JSON with its PNGs: the right segments, or one error that names the place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.panoptic import PanopticSegmentation
from pytest_perfgate.tasks.panoptic.data import PanopticData, Segment, panoptic

from tests.tasks import panoptic_scenes as scenes

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[segmentation]'")

DECLARED = {"images": "images", "annotations": "panoptic.json"}


def written(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> PanopticData:
    """Three images with their maps in a folder; `change` changes the JSON."""
    data, _ = scenes.scene(2, count=3)
    table = scenes.coco(data)
    if change is not None:
        change(table)
    (folder / "images").mkdir()
    (folder / "panoptic").mkdir()
    for row, ids in enumerate(data.maps):
        Image.fromarray(data.images[row]).save(folder / f"images/{row}.png")
        Image.fromarray(scenes.picture(ids)).save(folder / f"panoptic/{row}.png")
    (folder / "panoptic.json").write_text(json.dumps(table))
    return data


def test_a_folder_is_read(tmp_path: Path) -> None:
    """The same segments, classes and kinds as the function's data; maps lie beside the JSON."""
    data = written(tmp_path)
    task = PanopticSegmentation()
    read = task.read(DECLARED, tmp_path, tmp_path)
    assert read.digest == data.digest
    (tmp_path / "panoptic").rename(tmp_path / "maps")
    other = task.read({**DECLARED, "maps": "maps"}, tmp_path, tmp_path)
    assert other.segments == data.segments
    assert (list(other.classes), list(other.things)) == (list(scenes.CLASSES), list(scenes.THINGS))
    alone = task.read({"images": "images"}, tmp_path, tmp_path)
    assert not alone.labelled
    (tmp_path / "some.txt").write_text("2.png\n")
    some = task.read({**DECLARED, "maps": "maps", "list": "some.txt"}, tmp_path, tmp_path)
    assert some.segments == [data.segments[2]]


def _set(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(table: dict[str, Any]) -> None:
        place: Any = table
        for key in path[:-1]:
            place = place[key]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


def _instances(table: dict[str, Any]) -> None:
    for entry in table["annotations"]:
        del entry["segments_info"]
        entry["segmentation"] = [[1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_instances, ("these are instances", 'task = "instances"')),
        (
            _set("annotations", 1, "segments_info", 0, "category_id", value=99),
            ("segments_info[0] of annotations[1]", "category_id 99", "5 (grass)"),
        ),
        (_set("annotations", 1, "segments_info", 0, "id", value=0), ("has the id 0", "16777215")),
        (_set("annotations", 1, "segments_info", 0, "iscrowd", value=3), ("iscrowd 3",)),
        (_set("annotations", 1, "segments_info", value="x"), ("segments_info 'x'",)),
        (_set("annotations", 1, "image_id", value=1), ("are of one image",)),
        (_set("annotations", 1, value=None), ("1 of 3 images have no annotation", "'1.png'")),
        (_set("annotations", 1, "file_name", value="9.png"), ("the map '9.png'", "panoptic")),
        (_set("annotations", 1, "file_name", value=5), ("the file_name 5",)),
        (_set("categories", 2, "isthing", value=None), ("categories[2]", "isthing None")),
        (_set("images", 0, "file_name", value="x.png"), ("'x.png'",)),
    ],
)
def test_a_file_that_is_wrong_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: tuple[str, ...]
) -> None:
    """With the entry, its value and what is valid."""
    written(tmp_path, change)
    with pytest.raises(DataError) as error:
        PanopticSegmentation().read(DECLARED, tmp_path, tmp_path)
    for word in (*words, "panoptic"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (scenes.picture(np.full((48, 48), 9)), ("has the id 9 in 2304 of 2304 pixels",)),
        (scenes.picture(np.zeros((48, 48), int)), ("has no pixel of the segment",)),
        (np.zeros((48, 48), np.uint8), ("mode L", "24 bits", 'task = "segmentation"')),
    ],
)
def test_a_map_that_is_wrong_is_named(tmp_path: Path, pixels: Any, words: tuple[str, ...]) -> None:
    """Ids of no segment, segments without a pixel, masks of classes; the message has the file."""
    written(tmp_path)
    Image.fromarray(pixels).save(tmp_path / "panoptic/1.png")
    read = PanopticSegmentation().read(DECLARED, tmp_path, tmp_path)
    with pytest.raises(DataError) as error:
        _ = read.digest
    for word in (*words, "panoptic/1.png"):
        assert word in str(error.value)


def test_a_map_of_another_size_than_its_image_is_named(tmp_path: Path) -> None:
    """With both sizes."""
    written(tmp_path)
    Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(tmp_path / "images/1.png")
    read = PanopticSegmentation().read(DECLARED, tmp_path, tmp_path)
    with pytest.raises(DataError, match=r"map 1 has 48 x 48 pixels, and its image has 48 x 40"):
        _ = read.digest


def test_data_of_a_function_is_checked() -> None:
    """Classes beyond the list, ids twice, counts that differ, maps of other types."""
    image, ids = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.int64)
    whole: dict[str, Any] = {
        "images": [image],
        "maps": [ids],
        "segments": [[Segment(1, 0)]],
        "classes": ("grass", "cow"),
        "things": (False, True),
    }
    assert PanopticData(**whole).digest
    for change, words in (
        ({"segments": [[Segment(1, 2)]]}, "has the category 2"),
        ({"segments": [[Segment(1, 0), Segment(1, 1)]]}, "have the ids"),
        ({"segments": []}, "1 images, 1 maps and segments of 0"),
        ({"things": (False,)}, "2 classes"),
        ({"classes": ("cow", "cow")}, "named twice"),
    ):
        with pytest.raises(DataError, match=words):
            PanopticData(**{**whole, **change})
    with pytest.raises(DataError, match="float64"):
        _ = PanopticData(**{**whole, "maps": [ids * 1.0]}).digest
    with pytest.raises(DataError, match="numbers from 0 to 1"):
        panoptic(ids, np.zeros(0, int))
