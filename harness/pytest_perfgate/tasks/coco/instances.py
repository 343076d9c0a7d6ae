"""COCO instances as files hold them: ids of any kind, fields that are null or text, empty boxes.

`read_instances` turns them into rows and arrays, or raises one error that names the entry. What it
leaves out of the score is in `Instances.notes`, with counts.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.ids import Ids, place, short

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LARGEST = 2**31 - 1  # pixels of a side, of any format of pictures
_BOX = "[x, y, width, height] in pixels"


@dataclass(frozen=True)
class Instances:
    """Objects by the rows of their images and categories; ids of the file are not needed any more.

    Attributes:
        files: file name of each image, "" for none.
        sizes: declared (height, width) of each image; None where the file says nothing.
        order: rows of images in the order of their ids, in which evaluators rank equal scores.
        categories: names, in the order of the file's list, which is that of the network's classes.
        rows: int64 (K,), index of each object among the file's annotations.
        image, category: int64 (K,), rows of the objects' image and category.
        boxes: float64 (K, 4), x, y, width and height in pixels, none without area.
        areas: float64 (K,), in square pixels.
        crowd: bool (K,).
        notes: what was left out or assumed, one sentence each.
    """

    files: tuple[str, ...]
    sizes: tuple[tuple[int, int] | None, ...]
    order: tuple[int, ...]
    categories: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    areas: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.bool_]
    notes: tuple[str, ...]

    def compare_size(self, row: int, shape: tuple[int, ...]) -> None:
        """Check that an image's decoded `shape` (H, W, 3) is the declared one.

        Raises:
            DataError: names the image and both sizes.
        """
        declared = self.sizes[row]
        if declared is None or declared == shape[:2]:
            return
        height, width = shape[:2]
        turned = declared == (width, height)
        raise DataError(
            f"the image {self.files[row]!r} (images[{row}]) has {width} x {height} pixels, and its "
            f"entry says {declared[1]} x {declared[0]}",
            next_step="annotate the picture as viewers show it: its EXIF orientation turns it, or "
            "width and height are interchanged"
            if turned
            else "scale the entry's width, height and boxes to the picture, or restore the picture",
        )


def read_instances(coco: Mapping[str, Any], count: int) -> Instances:
    """The instances of `coco`, which has `count` images.

    Raises:
        DataError: names the entry, its value and what is valid.
    """
    import numpy as np

    images, annotations, categories = lists(coco)
    image_ids = Ids("image", images)
    if len(images) != count:
        raise DataError(f"there are {count} images and {len(images)} entries for them")
    if not images:
        raise DataError("there are no images")
    sizes = tuple(declared_size(row, entry) for row, entry in enumerate(images))
    category_ids = Ids("category", categories)
    names = _names(categories)
    image = image_ids.rows_of("image_id", annotations)
    category = category_ids.rows_of("category_id", annotations)
    boxes = np.array([_box(*pair) for pair in enumerate(annotations)], dtype=np.float64)
    boxes = boxes.reshape(-1, 4)
    areas = np.array([_area(*pair) for pair in enumerate(annotations)], dtype=np.float64)
    areas = np.where(np.isnan(areas), boxes[:, 2] * boxes[:, 3], areas)
    crowd = np.array([_crowd(*pair) for pair in enumerate(annotations)], dtype=bool)
    extents = np.array([(math.inf, math.inf) if size is None else size[::-1] for size in sizes])
    extents = extents[image] if len(image) else np.zeros((0, 2))
    _refuse_other_boxes(boxes, extents)
    kept, notes = _with_area(boxes, extents, annotations)
    image, category = image[kept], category[kept]
    parents = _parents(categories, set(category.tolist()))
    rows = [row for row in range(len(names)) if row not in parents]
    if parents:
        notes.append(
            f"left out of the categories: {', '.join(repr(names[row]) for row in parents)}, the "
            "parent of others and without boxes"
        )
    notes += category_ids.order_note([names[row] for row in rows], rows)
    place = np.full(len(names), -1)
    place[rows] = np.arange(len(rows))
    return Instances(
        files=tuple(str(entry.get("file_name") or "") for entry in images),
        sizes=sizes,
        order=image_ids.order(),
        categories=tuple(names[row] for row in rows),
        rows=np.flatnonzero(kept),
        image=image,
        category=place[category],
        boxes=boxes[kept],
        areas=areas[kept],
        crowd=crowd[kept],
        notes=tuple(notes),
    )


def of_images(coco: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The instances of the images with these file names alone; categories stay.

    Raises:
        DataError: no image, or more than one, has one of the names; an entry is wrong.
    """
    images, annotations, categories = lists(coco)
    rows_of: dict[str, list[int]] = {}
    for row, entry in enumerate(images):
        rows_of.setdefault(str(entry.get("file_name")), []).append(row)
    for name in names:
        if len(rows_of.get(name, ())) != 1:
            raise DataError(
                f"{len(rows_of.get(name, ()))} entries of images have the listed name {name!r}",
                valid="one entry for each name in the list",
            )
    kept = {rows_of[name][0] for name in names}
    rows = Ids("image", images).rows_of("image_id", annotations)
    return {
        **coco,
        "images": [entry for row, entry in enumerate(images) if row in kept],
        "annotations": [
            entry for row, entry in zip(rows.tolist(), annotations, strict=True) if row in kept
        ],
        "categories": categories,
    }


def as_text(coco: Mapping[str, Any]) -> str:
    """COCO's tables as one text, whatever the order of their keys; numbers and arrays of numpy,
    which a suite's function may use, as JSON has them.
    """
    return json.dumps(coco, sort_keys=True, default=lambda value: value.tolist())


def lists(coco: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """The three lists of the file, each of tables."""
    keys = ("images", "annotations", "categories")
    for key in keys:
        if not isinstance(coco.get(key), (list, tuple)):
            raise DataError(
                f"the COCO instances have no list {key!r}", valid="images, annotations, categories"
            )
        for row, entry in enumerate(coco[key]):
            if not isinstance(entry, Mapping):
                raise DataError(f"{key}[{row}] is {short(entry)}", valid="a table of fields")
    return [list(coco[key]) for key in keys]


def _names(categories: Sequence[Mapping[str, Any]]) -> list[str]:
    if not categories:
        raise DataError("there are no categories")
    names: list[str] = []
    for row, entry in enumerate(categories):
        name = entry.get("name")
        if isinstance(name, bool) or not isinstance(name, (str, int)) or not str(name).strip():
            raise DataError(
                f"categories[{row}] (id {short(entry.get('id'))}) has the name {short(name)}",
                valid="a text",
            )
        if str(name) in names:
            raise DataError(
                f"categories[{names.index(str(name))}] and categories[{row}] are both named "
                f"{short(name)}",
                valid="a name for each, no two of them the same",
            )
        names.append(str(name))
    return names


def declared_size(row: int, entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """Declared (height, width); None when either is missing or null."""
    if entry.get("height") is None or entry.get("width") is None:
        return None
    sides = [_number(entry[key]) for key in ("height", "width")]
    if any(side is None or not 1 <= side <= _LARGEST or side != int(side) for side in sides):
        raise DataError(
            f"images[{row}] (id {short(entry.get('id'))}) has the width {short(entry['width'])} "
            f"and the height {short(entry['height'])}",
            valid=f"whole numbers of pixels, up to {_LARGEST:,}",
        )
    height, width = (int(side) for side in sides if side is not None)
    return height, width


def _box(index: int, entry: Mapping[str, Any]) -> list[float]:
    box: Any = entry.get("bbox")
    box = box.tolist() if hasattr(box, "tolist") else box
    sides = [_number(side) for side in box] if isinstance(box, (list, tuple)) else []
    known = [side for side in sides if side is not None]
    if len(sides) != 4 or len(known) != 4 or min(known[2:]) < 0:
        raise DataError(
            f"{place(index, entry)} has the box {short(box)}",
            valid=_BOX,
            next_step="give it the smallest box around its segmentation"
            if box in (None, []) and entry.get("segmentation")
            else "",
        )
    return known


def _area(index: int, entry: Mapping[str, Any]) -> float:
    """The declared area; not a number where there is none."""
    if (value := entry.get("area")) is None:
        return math.nan
    area = _number(value)
    if area is None or area < 0:
        raise DataError(
            f"{place(index, entry)} has the area {short(value)}", valid="a number of square pixels"
        )
    return area


def _crowd(index: int, entry: Mapping[str, Any]) -> bool:
    value = entry.get("iscrowd")
    number = float(value) if isinstance(value, bool) else _number(0 if value is None else value)
    if number not in (0, 1):
        raise DataError(f"{place(index, entry)} has iscrowd {short(value)}", valid="0 or 1")
    return bool(number)


def _number(value: Any) -> float | None:
    """A finite number, also one that is written as text."""
    if type(value) is float:  # nearly all of them
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _refuse_other_boxes(boxes: npt.NDArray[np.float64], extents: npt.NDArray[np.float64]) -> None:
    """Refuse boxes that are whole in another convention: fractions, or corners.

    `boxes` (K, 4) are x, y, width and height, `extents` (K, 2) width and height of their images,
    infinite where unknown.
    """
    import numpy as np

    if not len(boxes):
        return
    known = np.isfinite(extents).all(axis=1)
    if (known & (extents > 16).all(axis=1)).all() and 0 < boxes.max() <= 1:
        raise DataError(
            f"all {len(boxes)} boxes are within 0 and 1: they are fractions of the picture",
            valid=_BOX,
            next_step="multiply them by the width and height of their images",
        )
    beyond = ((boxes[:, :2] + boxes[:, 2:]) > extents + 1).any(axis=1)
    if beyond.sum() * 2 > len(boxes) and (boxes[:, 2:] > boxes[:, :2]).all():
        raise DataError(
            f"{beyond.sum()} of {len(boxes)} boxes reach out of their picture: they are corners "
            "[left, top, right, bottom], or the images' width and height are of other pictures",
            valid=_BOX,
        )


def _with_area(
    boxes: npt.NDArray[np.float64],
    extents: npt.NDArray[np.float64],
    annotations: Sequence[Mapping[str, Any]],
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Which boxes have an area inside their picture, and what to say of the others."""
    flat = (boxes[:, 2:] == 0).any(axis=1)
    away = (boxes[:, :2] >= extents).any(axis=1) | ((boxes[:, :2] + boxes[:, 2:]) <= 0).any(axis=1)
    notes = []
    for rows, words in ((flat, "without area"), (away & ~flat, "outside of their picture")):
        if rows.any():
            first = int(rows.argmax())
            notes.append(
                f"left out of {len(boxes)} boxes: {int(rows.sum())} {words} (the first: "
                f"{place(first, annotations[first])})"
            )
    kept: npt.NDArray[np.bool_] = ~(flat | away)
    return kept, notes


def _parents(categories: Sequence[Mapping[str, Any]], used: set[int]) -> list[int]:
    """Rows of categories without boxes that are the supercategory of others. Annotation services
    write such a root; no class of a network stands for it.
    """
    above = [entry.get("supercategory") for entry in categories]
    return [
        row
        for row, entry in enumerate(categories)
        if row not in used
        and any(parent == entry["name"] for other, parent in enumerate(above) if other != row)
    ]
