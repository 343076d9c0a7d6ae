"""Labels in YOLO's text files: for each image a file of the same name with one object a line, its
class as a number and its coordinates as fractions of the picture. Ultralytics, Darknet, Roboflow,
CVAT and Label Studio write them.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.declared_classes import (
    declared_classes,
    is_yaml,
    read_yaml,
    text_lines,
)
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path
from pytest_perfgate.tasks.label_files import label_files

Kind = Literal["boxes", "outlines", "keypoints", "corners"]
"""What a task needs to know of an object."""

KEYS = ("labels", "label_format", "classes", "kpt_shape")
"""Keys of a data set with such labels, besides `images` and `list`."""

_BEYOND = 0.01
"""How far beyond the picture rounding moves a coordinate, as a fraction; Ultralytics allows it."""

_LINES: Mapping[Kind, str] = {
    "boxes": "class x y width height, or class x1 y1 x2 y2 x3 y3 ...",
    "outlines": "class x1 y1 x2 y2 x3 y3 ..., three points or more",
    "keypoints": "class x y width height, and for each keypoint x y, or x y visibility",
    "corners": "class x1 y1 x2 y2 x3 y3 x4 y4",
}


@dataclass(frozen=True)
class Row:
    """One object: `category` is its class, `numbers` are all that follow in its line."""

    category: int
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Labelled:
    """Images and their objects.

    Attributes:
        place: the folder of the images.
        images: all of them; what was left out or assumed is in their notes.
        files: of the images.
        rows: of each image; none: it has no objects.
        classes: names in the order of their numbers.
        keypoints: how many an object has, and how many numbers each of them has (2 or 3).
    """

    place: Path
    images: ImageFiles
    files: tuple[Path, ...]
    rows: tuple[tuple[Row, ...], ...]
    classes: tuple[str, ...]
    keypoints: tuple[int, int] | None


def read_labels(source: Mapping[str, Any], folder: Path, root: Path, kind: Kind) -> Labelled:
    """`{ images = "images/val", labels = "labels/val", classes = "data.yaml" }`. `list` names a
    text file with some of the images. An image without a file has no objects, as in Ultralytics.

    Raises:
        DataError: names the file, the line and what is wrong with it.
    """
    found = label_files(source, folder, root, ".txt")
    classes = declared_classes(source, folder, root)
    keypoints = _keypoints(source, folder, root)
    if kind == "keypoints" and keypoints is None:
        raise DataError(
            "the labels do not say how many keypoints an object has",
            where=str(source["labels"]),
            valid="kpt_shape = [17, 3], or a data.yaml with it as classes",
        )
    rows, repeated = [], 0
    for text in found.labels:
        read = _rows(text, kind, len(classes), keypoints) if text.is_file() else []
        kept = dict.fromkeys(read)
        repeated += len(read) - len(kept)
        rows.append(tuple(kept))
    notes = list(found.notes)
    if repeated:
        notes.append(f"left out of the labels: {repeated} lines that repeat another of their file")
    images = ImageFiles(found.files, notes)
    return Labelled(found.place, images, found.files, tuple(rows), classes, keypoints)


def _keypoints(source: Mapping[str, Any], folder: Path, root: Path) -> tuple[int, int] | None:
    """The declared shape of the keypoints, of the data set or of the YAML with its classes."""
    classes = source.get("classes")
    file = declared_path(folder, classes, root) if isinstance(classes, str) else None
    if source.get("kpt_shape") is not None or file is None or not is_yaml(file):
        return keypoints_shape(source.get("kpt_shape"))
    try:
        return keypoints_shape(read_yaml(file).get("kpt_shape"))
    except DataError as error:
        raise (error if error.where else error.at(str(file))) from None


def keypoints_shape(declared: Any) -> tuple[int, int] | None:
    """How many keypoints an object has, and how many numbers each of them; None: not declared.

    Raises:
        DataError: it is something else than two such numbers.
    """
    if declared is None:
        return None
    numbers = declared if isinstance(declared, (list, tuple)) else ()
    whole = [one for one in numbers if isinstance(one, int) and not isinstance(one, bool)]
    if len(numbers) != 2 or len(whole) != 2 or whole[0] < 1 or whole[1] not in (2, 3):
        raise DataError(
            f"kpt_shape is {reprlib.repr(declared)}",
            valid="the number of keypoints, and 2 (x, y) or 3 (x, y, visibility): [17, 3]",
        )
    return whole[0], whole[1]


def _rows(file: Path, kind: Kind, classes: int, keypoints: tuple[int, int] | None) -> list[Row]:
    """The objects in a file of labels."""
    rows = []
    for number, line in enumerate(text_lines(file), 1):
        if not line.strip():
            continue
        try:
            rows.append(_row(line, kind, classes, keypoints))
        except DataError as error:
            raise error.at(f"{file}: line {number}") from None
    return rows


def _row(line: str, kind: Kind, classes: int, keypoints: tuple[int, int] | None) -> Row:
    shown, valid = line.strip()[:80], _LINES[kind]
    try:
        category, *numbers = (float(word) for word in line.split())
    except ValueError:
        raise DataError(f"the line {shown!r} holds other words than numbers", valid=valid) from None
    if not all(map(math.isfinite, (category, *numbers))):
        raise DataError(f"the line {shown!r} has a number that is not finite", valid=valid)
    if category != int(category) or not 0 <= category < classes:
        raise DataError(
            f"the line {shown!r} begins with the class {category:g}",
            valid=f"a whole number from 0 to {classes - 1}: there are {classes} classes",
        )
    if not _fits(len(numbers), kind, keypoints):
        problem = f"the line {shown!r} has {len(numbers)} numbers behind its class"
        if len(numbers) == 5 and kind == "boxes":
            problem += ": a box and a confidence, so this is a prediction"
        elif len(numbers) == 4:
            problem += ": a box"
        raise DataError(problem, valid=valid)
    for value in _coordinates(numbers, kind, keypoints):
        if not -_BEYOND <= value <= 1 + _BEYOND:
            raise DataError(
                f"the line {shown!r} has the coordinate {value:g}",
                valid="fractions of the picture's width and height, from 0 to 1",
                next_step="divide pixels by the width and height of their picture",
            )
    return Row(int(category), tuple(numbers))


def _fits(count: int, kind: Kind, keypoints: tuple[int, int] | None) -> bool:
    """Whether so many numbers can stand behind a class."""
    outline = count >= 6 and count % 2 == 0
    if kind == "corners":
        return count == 8
    if kind == "outlines":
        return outline
    if keypoints is not None and count == 4 + math.prod(keypoints):
        return True
    return kind == "boxes" and (count == 4 or outline)


def _coordinates(
    numbers: Sequence[float], kind: Kind, keypoints: tuple[int, int] | None
) -> list[float]:
    """Those of the numbers that are fractions of the picture: of keypoints the labelled ones."""
    if keypoints is None or len(numbers) != 4 + math.prod(keypoints) or kind == "outlines":
        return list(numbers)
    size = keypoints[1]
    points = [numbers[at : at + size] for at in range(4, len(numbers), size)]
    return [*numbers[:4], *(value for point in points if is_labelled(point) for value in point[:2])]


def is_labelled(point: Sequence[float]) -> bool:
    """Whether a keypoint, x, y and with three numbers its visibility, is known. Of two numbers it
    is unless it lies in the corner (0, 0) or outside, where tools put those that are not.
    """
    return point[2] > 0 if len(point) == 3 else min(point) >= 0 and max(point) > 0
