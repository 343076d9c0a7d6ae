"""The classes of images in a CSV file, or in lines as of ImageNet's val.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.classification import Classification

from tests.tasks.classification.test_folder import fill

IMAGES = {f"images/{name}.png": row for row, name in enumerate(("a", "b", "night/c", "d"))}


def read(folder: Path, text: str, name: str = "labels.csv", **more: Any) -> Any:
    """The data set of four images and a file of labels."""
    fill(folder, IMAGES)
    (folder / name).write_text(text)
    return Classification().read({"images": "images", "labels": name, **more}, folder, folder)


def test_a_csv_has_names_and_further_columns_are_attributes(tmp_path: Path) -> None:
    """Classes without a declared order are in the order of their names; what has no label is left
    out, and said.
    """
    text = "file,label,camera\nb.png,dog,1\na.png, cat ,2\n\nnight/c.png,dog,1\n"
    data = read(tmp_path, text)
    assert data.classes == ("cat", "dog")
    assert list(data.labels) == [1, 0, 1]
    assert data.file_names[0].endswith("b.png")
    assert data.attributes == {"camera": ["1", "2", "1"]}
    assert "left out: 1 images without a label (the first: d.png)" in data.notes
    swapped = read(tmp_path, text, classes=["dog", "cat"])
    assert list(swapped.labels) == [0, 1, 0]


def test_lines_have_numbers_into_the_declared_classes(tmp_path: Path) -> None:
    """As in ImageNet's val.txt; a list takes some of them in its own order."""
    (tmp_path / "names.txt").write_text("tench\ngoldfish\nshark\n")
    text = "a.png 2\nb.png 000\nnight/c.png 1\nd.png 1\n"
    data = read(tmp_path, text, "val.txt", classes="names.txt")
    assert data.classes == ("tench", "goldfish", "shark")
    assert list(data.labels) == [2, 0, 1, 1]
    assert data.notes == ()
    (tmp_path / "some.txt").write_text("d.png\na.png\n")
    some = read(tmp_path, text, "val.txt", classes="names.txt", list="some.txt")
    assert list(some.labels) == [1, 2]
    assert "classes without images: tench" in some.notes


def test_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    """Where all labels are among the names; else they count the classes."""
    text = "a.png 7\nb.png 3\nnight/c.png 3\nd.png 7\n"
    data = read(tmp_path, text, "val.txt", classes=["7", "3"])
    assert list(data.labels) == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("image,class\na.png,cat\n", {}, "the first row is 'image,class'"),
        ("file,label,x,x\n", {}, "the first row is"),
        ("file,label\na.png,cat\na.png,dog\n", {}, "row 3 names an image again: 'a.png'"),
        ("file,label\na.png,cat,7\n", {}, "row 2 has 3 cells"),
        ("file,label\na.png,\n", {}, "row 2 is no file with its label"),
        ("file,label\n", {}, "names no image"),
        ("file,label\na.png,cow\n", {"classes": ["cat", "dog"]}, "the label 'cow'"),
        ("file,label\na.png,2\n", {"classes": ["cat", "dog"]}, "the label '2'"),
        ("file,label\na.png,1\nb.png,0\n", {}, "the labels are numbers"),
        ("file,label\nz.png,cat\n", {"classes": ["cat", "dog"]}, "'z.png' is not there"),
        ('file,label\n"a.png,cat\n', {}, "cannot be read"),
    ],
)
def test_a_wrong_row_is_named(
    tmp_path: Path, text: str, more: dict[str, Any], message: str
) -> None:
    """With the file, and what is valid."""
    with pytest.raises(DataError) as raised:
        read(tmp_path, text, **more)
    assert message in raised.value.problem
    assert str(tmp_path) in raised.value.where


def test_a_wrong_declaration_is_one_error(tmp_path: Path) -> None:
    """Folders have names of their own; a listed image needs a label."""
    fill(tmp_path, IMAGES)
    with pytest.raises(DataError, match="classes is for a file of labels"):
        Classification().read({"images": "images", "classes": ["a"]}, tmp_path, tmp_path)
    with pytest.raises(DataError, match="labels is 3"):
        Classification().read({"images": "images", "labels": 3}, tmp_path, tmp_path)
    (tmp_path / "some.txt").write_text("d.png\n")
    with pytest.raises(DataError, match="1 of 1 listed images have no label"):
        read(tmp_path, "file,label\na.png,cat\nb.png,dog\n", list="some.txt")
