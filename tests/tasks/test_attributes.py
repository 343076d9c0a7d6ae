"""Attributes of images: of pixels, of COCO files, of CSV files; and the slices by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.recipe import SliceSpec
from pytest_perfgate.tasks.attributes import attribute, column, sliced
from pytest_perfgate.tasks.classification.data import ClassificationData
from pytest_perfgate.tasks.detection.data import DetectionData

GREY = [np.full((10, 40, 3), level, np.uint8) for level in (10, 200, 90)]


def detection() -> DetectionData:
    """Three images with 2, 1 and no objects."""
    return DetectionData(
        GREY,
        {
            "images": [
                {"id": 3, "file_name": "a/1.png", "camera": 7},
                {"id": 2, "file_name": "a/2.png", "camera": 9, "attributes": {"rain": True}},
                {"id": 1, "file_name": "b/1.png"},
            ],
            "annotations": [
                {"id": 1, "image_id": 3, "category_id": 1, "bbox": [0, 0, 4, 4], "part": "hidden"},
                {"id": 2, "image_id": 3, "category_id": 1, "bbox": [5, 0, 8, 8], "part": "whole"},
                {"id": 3, "image_id": 2, "category_id": 1, "bbox": [0, 0, 9, 9], "part": "whole"},
            ],
            "categories": [{"id": 1, "name": "one"}],
        },
    )


def slices(values: Any, **spec: Any) -> dict[str, list[int]]:
    """The images of each slice."""
    slicing = sliced(values, SliceSpec(by="x", **spec))
    rows = [np.flatnonzero(row).tolist() for row in slicing.members.array()]
    return dict(zip(slicing.names, rows, strict=True))


def test_attributes_of_images_and_annotations_are_read_from_the_file() -> None:
    """An image without a value is a slice; one with several objects is in the slice of each."""
    data = detection()
    assert slices(attribute(data, "camera")) == {"x=7": [0], "x=9": [1], "x=(none)": [2]}
    assert slices(attribute(data, "rain")) == {"x=True": [1], "x=(none)": [0, 2]}
    assert slices(attribute(data, "part")) == {"x=hidden": [0], "x=whole": [0, 1], "x=(none)": [2]}
    assert attribute(data, "objects") == [(2,), (1,), (0,)]
    assert attribute(data, "object_size") == [(6.0,), (9.0,), ()]


def test_attributes_of_pixels_are_those_of_every_image() -> None:
    """Luma from 0 to 255, lengths in pixels; the data's own attribute of a name comes first."""
    data = ClassificationData(GREY, (), ())
    assert attribute(data, "brightness") == [
        (pytest.approx(10.0),),
        (pytest.approx(200.0),),
        (pytest.approx(90.0),),
    ]
    assert attribute(data, "contrast")[0] == (pytest.approx(0.0, abs=1e-9),)
    assert (attribute(data, "width")[0], attribute(data, "height")[0]) == ((40.0,), (10.0,))
    assert attribute(data, "size")[0] == (20.0,)
    own = ClassificationData(GREY, (), (), {"width": ["a", "b", "a"]})
    assert slices(attribute(own, "width")) == {"x=a": [0, 2], "x=b": [1]}
    assert own.part([2, 1]).attributes == {"width": ["a", "b"]}


def test_an_image_whose_value_is_missing_is_in_the_slice_of_none() -> None:
    """None in the data's attributes, or NaN of a table; numbers beside it are numbers."""
    data = ClassificationData(GREY, (), (), {"camera": [7, None, 9], "site": ["a", np.nan, "b"]})
    assert slices(attribute(data, "camera")) == {"x=7": [0], "x=9": [2], "x=(none)": [1]}
    assert slices(attribute(data, "camera"), edges=(8.0,))["x=(none)"] == [1]
    assert slices(attribute(data, "site")) == {"x=a": [0], "x=b": [2], "x=(none)": [1]}


def test_numbers_are_cut_at_edges_or_into_quarters() -> None:
    """An edge begins the slice above it; few different numbers are slices of their own."""
    values = [(number,) for number in (1, 5, 10, 20)]
    assert slices(values, edges=(5.0, 20.0)) == {"x<5": [0], "5<=x<20": [1, 2], "x>=20": [3]}
    assert slices(values) == {"x=1": [0], "x=5": [1], "x=10": [2], "x=20": [3]}
    many = slices([(str(number),) for number in range(40)])
    assert list(many) == ["x<9.75", "9.75<=x<19.5", "19.5<=x<29.2", "x>=29.2"]
    assert sorted(row for rows in many.values() for row in rows) == list(range(40))
    days = [1_764_547_200.0 + 86_400 * day for day in range(4)]
    assert len(slices([(day,) for day in days], edges=tuple(days))) == 4


def test_values_of_one_text_are_one_slice() -> None:
    """A number and its text, of two tables, are one camera: no two slices have one name."""
    assert slices([(7,), ("7",), (9.5,), ("9.5",)]) == {"x=7": [0, 1], "x=9.5": [2, 3]}


def test_a_column_of_a_csv_names_images_by_the_end_of_their_path(tmp_path: Path) -> None:
    """Or by their order, without a column of names."""
    file = tmp_path / "sites.csv"
    file.write_text("file_name,site\na/2.png,south\na/1.png,north\nb/1.png,\n")
    assert column(detection(), "site", file) == [("north",), ("south",), ()]
    file.write_text("image,site\na/1.png,north\na/2.png,south\nb/1.png,east\n")
    assert column(detection(), "site", file) == [("north",), ("south",), ("east",)]
    file.write_text("site\nnorth\nsouth\neast\n")
    assert column(ClassificationData(GREY, (), ()), "site", file)[2] == ("east",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file_name,site\na/1.png,north\n", "no row for 2 of 3 images; the first is 'a/2.png'"),
        ("file_name,site\n1.png,a\n1.png,b\n", "names an image twice"),
        ("file_name,site\n1.png,a\n2.png,b\n", "one row, '1.png', for 'a/1.png' and for 'b/1.png'"),
        ("site\nnorth\n", "1 rows for 3 images"),
        ("file_name,town\n", "no column 'site'"),
        (
            "image,site\nb/1.png,a\na/1.png,a\na/2.png,b\n",
            "names images in the column 'image' and not in their order",
        ),
        ("id,site\nb/1,a\na/1,a\na/2,b\n", "rename the column 'id' to file_name"),
    ],
)
def test_a_csv_that_does_not_fit_the_images_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    """The file, what is wrong with it, and what is valid."""
    file = tmp_path / "sites.csv"
    file.write_text(text)
    with pytest.raises(DataError) as error:
        column(detection(), "site", file)
    assert said in str(error.value)
    assert "sites.csv" in str(error.value)


def test_an_attribute_that_nothing_has_is_refused() -> None:
    """With those that there are; and so are too many values, and edges of texts."""
    with pytest.raises(DataError, match="has the attribute 'kamera'") as error:
        attribute(detection(), "kamera")
    assert "did you mean 'camera'?" in error.value.valid
    with pytest.raises(DataError, match="65 different values"):
        slices([(f"v{number}",) for number in range(65)])
    with pytest.raises(DataError, match="edges are given, and 'x' has the value 'a'"):
        slices([("a",), (1,)], edges=(1.0,))
    with pytest.raises(DataError, match="no image has a value"):
        slices([(), ()])
