"""Pascal VOC's XML gives the same data as COCO's files do, or an error that names the object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.instances import Instances

SIZE = "<size><width>80</width><height>40</height><depth>3</depth></size>"


def item(sides: tuple[Any, Any, Any, Any], name: str = "cat", difficult: str | None = "0") -> str:
    """An object as LabelImg writes it."""
    hard = "" if difficult is None else f"<difficult>{difficult}</difficult>"
    corners = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    box = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
    return f"<object><name>{name}</name>{hard}<bndbox>{box}</bndbox></object>"


def declared(place: Path, *texts: str | None) -> dict[str, Any]:
    """Images of 80 x 40 pixels and their files, except where None stands."""
    (place / "JPEGImages").mkdir()
    (place / "Annotations").mkdir()
    for row, text in enumerate(texts):
        pixels = np.full((40, 80, 3), row, np.uint8)
        Image.fromarray(pixels).save(place / "JPEGImages" / f"{row}.png")
        if text is not None:
            content = f"<annotation><filename>x.jpg</filename>{text}</annotation>"
            (place / "Annotations" / f"{row}.xml").write_text(content)
    return {
        "images": "JPEGImages",
        "labels": "Annotations",
        "label_format": "voc",
        "classes": ["cat", "dog"],
    }


def test_sides_count_pixels_from_one(tmp_path: Path) -> None:
    """The first pixel is 1 and the last one counts: a box from 1 to 80 is the whole width.
    Difficult objects are nothing to find, and an image without a file has no objects.
    """
    first = SIZE + item((1, 1, 80, 40)) + item((11, 5, 20, 24), "dog", "1")
    data = Detection().read(declared(tmp_path, first, "", None), tmp_path, tmp_path)
    found = data.instances
    assert found.boxes.tolist() == [[0, 0, 80, 40], [10, 4, 10, 20]]
    assert found.category.tolist() == [0, 1]
    assert found.crowd.tolist() == [False, True]
    notes = "\n".join(data.notes)
    assert "pixels are counted from 1" in notes
    assert "nothing to find, as COCO's crowds: 1 difficult object" in notes
    assert "1 of 3 images have no file of labels" in notes
    assert len(data.digests) == 3


def test_other_sides_are_edges(tmp_path: Path) -> None:
    """Where one is a fraction, or 0, all are taken as they are written."""
    texts = item((1, 1, 80, 40), difficult=None), item((0.5, 2, 10.5, 22.0))
    data = Detection().read(declared(tmp_path, *texts), tmp_path, tmp_path)
    assert data.instances.boxes.tolist() == [[1, 1, 79, 39], [0.5, 2, 10, 20]]
    assert "pixels are counted" not in "\n".join(data.notes)


def test_a_size_is_compared_with_the_picture(tmp_path: Path) -> None:
    """Zeros say nothing, as tools write that do not know it."""
    zeros = "<size><width>0</width><height>0</height></size>"
    data = Detection().read(declared(tmp_path, zeros), tmp_path, tmp_path)
    assert len(data.digests) == 1
    (tmp_path / "Annotations" / "0.xml").write_text(
        f"<annotation>{SIZE.replace('80', '90')}</annotation>"
    )
    source = {"images": "JPEGImages", "labels": "Annotations", "label_format": "voc"}
    data = Detection().read({**source, "classes": ["cat"]}, tmp_path, tmp_path)
    with pytest.raises(DataError, match="has 80 x 40 pixels, and its entry says 90 x 40"):
        _ = data.digests


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (item((1, 1, 8, 8), "cow"), "object 1: the name 'cow' is not among the classes"),
        (item((9, 1, 8, 8)), "the sides of the box are"),
        (item(("a", 1, 8, 8)), "the sides of the box are"),
        (item(("nan", 1, 8, 8)), "the sides of the box are"),
        (item((1, 1, 8, 8), difficult="yes"), "difficult is 'yes'"),
        ("<object><name>cat</name></object>", "the sides of the box are"),
        ("<object>", "not XML"),
    ],
)
def test_a_wrong_object_is_named(tmp_path: Path, text: str, message: str) -> None:
    """By its file and number."""
    source = declared(tmp_path, text)
    with pytest.raises(DataError) as raised:
        Detection().read(source, tmp_path, tmp_path)
    assert message in str(raised.value)
    assert str(tmp_path / "Annotations" / "0.xml") in raised.value.where


def test_files_that_are_no_annotations_are_refused(tmp_path: Path) -> None:
    """A document type among them, whatever it holds; and VOC's files have no outlines."""
    source = declared(tmp_path, "")
    file = tmp_path / "Annotations" / "0.xml"
    file.write_text("<!DOCTYPE annotation><annotation/>")
    with pytest.raises(DataError, match="document type"):
        Detection().read(source, tmp_path, tmp_path)
    file.write_text("<annotations/>")
    with pytest.raises(DataError, match="'annotations'"):
        Detection().read(source, tmp_path, tmp_path)
    with pytest.raises(DataError, match="label_format is 'voc'"):
        Instances().read(source, tmp_path, tmp_path)
    with pytest.raises(DataError, match="label_format is 'pascal'"):
        Detection().read({**source, "label_format": "pascal"}, tmp_path, tmp_path)
