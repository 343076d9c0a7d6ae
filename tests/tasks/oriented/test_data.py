"""DOTA's label files and a function's arrays; what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.oriented import OrientedBoxes
from pytest_perfgate.tasks.oriented.data import OrientedData

from tests.tasks.oriented.scenes import CLASSES, scene

GOOD = "10 10 50 12 48 40 9 38 ship 1"


def folder(place: Path, *texts: str) -> dict[str, Any]:
    """A declared data set with these label files."""
    from PIL import Image

    (place / "images").mkdir(parents=True)
    (place / "labelTxt").mkdir()
    for row, text in enumerate(texts):
        Image.fromarray(np.full((60, 60, 3), row, np.uint8)).save(place / f"images/{row}.png")
        (place / f"labelTxt/{row}.txt").write_text(text)
    return {"images": "images", "labels": "labelTxt", "classes": list(CLASSES)}


def test_label_files_of_dota_are_read(tmp_path: Path) -> None:
    """With two lines of header; an empty file has no objects, and the last word is optional."""
    text = f"imagesource:GoogleEarth\ngsd:0.146\n{GOOD}\n1.5 1 9 1 9 9 1 9 plane\n"
    declared = folder(tmp_path, text, "")
    data = OrientedBoxes().read(declared, tmp_path, tmp_path)
    first, second = data.objects
    assert first.corners[0].tolist() == [[10, 10], [50, 12], [48, 40], [9, 38]]
    assert first.corners[1, 0].tolist() == [1.5, 1]
    assert first.categories.tolist() == [1, 0]
    assert data.ignored[0].tolist() == [True, False]
    assert len(second.scores) == 0
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(CLASSES))
    again = OrientedBoxes().read({**declared, "classes": "classes.txt"}, tmp_path, tmp_path)
    assert again.digest == data.digest
    alone = OrientedBoxes().read({"images": "images"}, tmp_path, tmp_path)
    assert not alone.annotated
    (tmp_path / "labelTxt" / "lost.txt").write_text("")
    (note,) = OrientedBoxes().read(declared, tmp_path, tmp_path).notes
    assert note == "1 files of labels are of no image (the first: lost.txt)"


def test_a_folder_gives_what_the_function_gives(tmp_path: Path) -> None:
    """The same scores of the same objects."""
    data, predictions = scene(2)
    texts = [
        "\n".join(
            f"{' '.join(repr(float(number)) for number in corners.reshape(-1))} "
            f"{CLASSES[kind]} {int(hard)}"
            for corners, kind, hard in zip(one.corners, one.categories, ignored, strict=True)
        )
        for one, ignored in zip(data.objects, data.ignored, strict=True)
    ]
    task = OrientedBoxes()
    read = task.read(folder(tmp_path, *texts), tmp_path, tmp_path)
    assert task.evaluate(read, predictions).values == task.evaluate(data, predictions).values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{GOOD}\n10 10 50 12 48 40 ship 1", r"0\.txt: line 2: .*has 6 numbers before its categ"),
        ("10 10 50 12 48 40 9 38 1 2 ship 0", "has 10 numbers before its category"),
        ("10 10 50 12 48 40 9 38 ship 7", "ends in '7'\n *valid: x1 y1"),
        ("10 10 50 12 48 40 9 38 boat 0", "(?s)'boat' is not among the classes\n.*valid: .*ship"),
        ("10 10 50 12 9 38 48 40 ship 0", "has sides that cross"),
        ("10 10 20 10 30 10 40 10 ship 0", "has no area"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """One message with the file, the line, the value, and what is valid."""
    declared = folder(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        OrientedBoxes().read(declared, tmp_path, tmp_path)
    assert "0.txt: line " in str(caught.value)
    assert "valid: " in str(caught.value)


def test_an_image_without_a_label_file_is_refused(tmp_path: Path) -> None:
    """It is not an image without objects."""
    declared = folder(tmp_path, GOOD, GOOD)
    (tmp_path / "labelTxt/1.txt").unlink()
    with pytest.raises(
        DataError, match=r"1\.txt: there are no labels of 1\.png(?s:.*)an empty one"
    ):
        OrientedBoxes().read(declared, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("corners", "categories", "message"),
    [
        ([np.zeros((1, 3, 2))], [[0]], r"object 0 of image 0 has 3 corners (?s:.*)four corners"),
        ([np.eye(4)[None, :, :2] * 9], [[5]], r"has the category 5\n *valid: 0 to 2"),
        ([np.eye(4)[None, :, :2] * 9], [[0, 1]], "has 1 objects, and categories of 2"),
        ([], [], "there are 1 images, and corners of 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(corners: Any, categories: Any, message: str) -> None:
    """With the image and the object."""
    image = np.zeros((60, 60, 3), np.uint8)
    with pytest.raises(DataError, match=message):
        OrientedData([image], corners, categories, (), CLASSES)
