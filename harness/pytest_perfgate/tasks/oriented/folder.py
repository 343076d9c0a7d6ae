"""A declared data set of oriented boxes: a folder of images, and one of DOTA's label files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError, suggestion
from pytest_perfgate.tasks.declared_classes import declared_classes, text_lines
from pytest_perfgate.tasks.image_decoding import upright_size
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path
from pytest_perfgate.tasks.image_folder import (
    declared_folder,
    listed_files,
    listed_names,
    other_types_note,
    pictures,
    refuse_other_keys,
    refuse_shared,
)
from pytest_perfgate.tasks.label_files import of_no_image
from pytest_perfgate.tasks.oriented.data import OrientedData, wrong_corners
from pytest_perfgate.tasks.yolo_labels import Labelled, read_labels

_LINE = "x1 y1 x2 y2 x3 y3 x4 y4 category, and whether it is difficult: 0, 1 or 2"
_HEADER = ("imagesource:", "gsd:")


def read_folder(source: Mapping[str, Any], folder: Path, root: Path) -> OrientedData:
    """`{ images = "folder", labels = "folder", classes = [...] }`: for each image a text file of
    the same name, with DOTA's lines, or YOLO's where `label_format = "yolo"`. Without `labels` the
    images alone. `list` names a text file with some of them.

    Raises:
        DataError: names the file, the line and what is wrong with it.
    """
    refuse_other_keys(source, ("images", "labels", "label_format", "classes", "list"))
    form = source.get("label_format", "dota")
    if form not in ("dota", "yolo"):
        raise DataError(f"label_format is {form!r}", valid='"dota", or "yolo"')
    if form == "yolo" and "labels" in source:
        return _of_yolo(read_labels(source, folder, root, "corners"))
    place = declared_folder(source, folder, root)
    names = listed_names(source, folder, root)
    files, others = pictures(place) if names is None else (listed_files(place, names), {})
    if not files:
        raise DataError("there are no images", where=str(place))
    images = ImageFiles(files, other_types_note(others))
    if "labels" not in source:
        return OrientedData(images)
    labels = declared_path(folder, str(source["labels"]), root)
    if not labels.is_dir():
        raise DataError("there is no such folder", where=str(labels))
    classes = declared_classes(source, folder, root)
    refuse_shared(files, [_text_of(labels, place, file) for file in files], "file of labels")
    read = [_labels(labels, place, file, classes) for file in files]
    if names is None:
        alone = of_no_image(labels, [_text_of(labels, place, file) for file in files], ".txt")
        images = ImageFiles(files, [*other_types_note(others), *alone])
    corners, categories, difficult = zip(*read, strict=True)
    return OrientedData(images, corners, categories, difficult, classes)


def _of_yolo(labelled: Labelled) -> OrientedData:
    """Objects whose corners are fractions of their picture; none is difficult."""
    corners, categories = [], []
    for file, rows in zip(labelled.files, labelled.rows, strict=True):
        height, width = upright_size(file)
        corners.append(
            [
                [
                    [x * width, y * height]
                    for x, y in zip(row.numbers[::2], row.numbers[1::2], strict=True)
                ]
                for row in rows
            ]
        )
        categories.append([row.category for row in rows])
    easy = [[False] * len(rows) for rows in categories]
    return OrientedData(labelled.images, corners, categories, easy, labelled.classes)


Labels = tuple[list[list[list[float]]], list[int], list[bool]]


def _labels(folder: Path, pictures_folder: Path, image: Path, classes: Sequence[str]) -> Labels:
    """Corners, categories and "is difficult" of an image's objects."""
    file = _text_of(folder, pictures_folder, image)
    if not file.is_file():
        raise DataError(
            f"there are no labels of {image.name}",
            where=str(file),
            valid="a text file of the same name for each image; an empty one for no objects",
        )
    corners, categories, difficult = [], [], []
    for number, line in enumerate(text_lines(file), 1):
        if not line.strip() or line.strip().lower().startswith(_HEADER):
            continue
        try:
            polygon, name, hard = _object(line)
        except DataError as error:
            raise error.at(f"{file}: line {number}") from None
        if name not in classes:
            raise DataError(
                f"the category {name!r} is not among the classes",
                where=f"{file}: line {number}",
                valid=suggestion(name, classes),
            )
        corners.append(polygon)
        categories.append(classes.index(name))
        difficult.append(hard)
    return corners, categories, difficult


def _text_of(folder: Path, pictures_folder: Path, image: Path) -> Path:
    return (folder / image.relative_to(pictures_folder)).with_suffix(".txt")


def _object(line: str) -> tuple[list[list[float]], str, bool]:
    """One line: four corners, the name of the category, and whether the object is difficult."""
    import numpy as np

    words = line.split()
    count = 0
    for word in words:
        if not _is_number(word):
            break
        count += 1
    name, last = (words[count : count + 1] or [""])[0], words[count + 1 :]
    if count != 8 or len(last) > 1 or (last and last[0] not in ("0", "1", "2")):
        problem = f"the line {line.strip()[:80]!r} has {count} numbers before its category"
        if count == 8:
            problem = f"the line {line.strip()[:80]!r} ends in {' '.join(last)!r}"
        elif count == 9 and not name:
            problem = f"the line {line.strip()[:80]!r} has no category"
        raise DataError(problem, valid=_LINE)
    polygon = np.array([float(word) for word in words[:8]]).reshape(4, 2)
    if wrong := wrong_corners(polygon):
        raise DataError(f"the object {wrong}", valid="four corners in order around the object")
    return polygon.tolist(), name, bool(last) and last[0] != "0"


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
