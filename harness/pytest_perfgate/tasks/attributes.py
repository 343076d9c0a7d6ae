"""Attributes of images, and the slices that follow from them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError, suggestion
from pytest_perfgate.records.accuracy import Packed, Slicing
from pytest_perfgate.tasks.image_files import Digested

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.records.recipe import SliceSpec

Values = Sequence[Sequence[Any]]
"""Of each image its values: none, one, or several of its annotations."""

FILE_NAME = "file_name"
"""The column of a CSV file that names the image of a row; without it rows are in the images' order.
"""

_MOST_SLICES = 64
_MOST_NUMBERS = 8  # different ones that are slices of their own
_NONE = "(none)"


def _brightness(image: npt.NDArray[np.uint8]) -> float:
    """Mean luma (ITU-R BT.601) of an image's pixels, 0 to 255."""
    return float((image[..., :3] @ _LUMA).mean())


def _contrast(image: npt.NDArray[np.uint8]) -> float:
    """Standard deviation of the luma of an image's pixels."""
    return float((image[..., :3] @ _LUMA).std())


_LUMA = (0.299, 0.587, 0.114)

_OF_PIXELS: Mapping[str, Callable[[Any], float]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "width": lambda image: float(image.shape[1]),
    "height": lambda image: float(image.shape[0]),
    "size": lambda image: math.sqrt(image.shape[0] * image.shape[1]),
}
"""Attributes of every image: luma from 0 to 255, lengths in pixels."""


def attribute(data: Any, name: str) -> Values:
    """The values of an attribute that the data have, or that follows from the pixels.

    Raises:
        DataError: there is no such attribute.
    """
    declared = declared_values(data, name)
    if declared is not None:
        return declared
    if name not in _OF_PIXELS:
        known = data.image_attributes() if isinstance(data, Digested) else {}
        raise DataError(
            f"no image or annotation has the attribute {name!r}",
            valid=suggestion(name, {*known, *_OF_PIXELS}),
            next_step='name a CSV file that has it as a column: file = "attributes.csv"',
        )
    measure = _OF_PIXELS[name]
    return [(measure(data.images[index]),) for index in range(len(data.images))]


def declared_values(data: Any, name: str) -> Values | None:
    """The values of an attribute that the data have; None: it follows from the pixels, or is none.
    An image whose value is None or NaN, as tables write a missing one, has none.
    """
    known = data.image_attributes() if isinstance(data, Digested) else {}
    if name not in known:
        return None
    return [tuple(value for value in of_image if _is_given(value)) for of_image in known[name]]


def _is_given(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def column(data: Any, name: str, file: Path) -> Values:
    """The values of a column of a CSV file, whose rows name images by their files: by the whole
    path, or by its end.

    Raises:
        DataError: the file cannot be read, has no such column, or says nothing of an image.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{file.name} cannot be read: {reason}", valid="CSV in UTF-8") from error
    if name not in columns:
        raise DataError(f"{file.name} has no column {name!r}", valid=suggestion(name, columns))
    if FILE_NAME not in columns:
        return _in_order(data, name, file, rows)
    values = {_ends(str(row[FILE_NAME]))[0]: row[name] for row in rows}
    if len(values) < len(rows):
        raise DataError(f"{file.name} names an image twice", valid="one row for each image")
    names = data.file_names if isinstance(data, Digested) else ()
    if not any(names):
        raise DataError(
            f"{file.name} names images by {FILE_NAME}, and the images have no files",
            next_step=f"leave the column {FILE_NAME} out, with the rows in the images' order",
        )
    keys = [next((end for end in _ends(one) if end in values), None) for one in names]
    absent = [one for one, key in zip(names, keys, strict=True) if key is None]
    if absent:
        raise DataError(
            f"{file.name} has no row for {len(absent)} of {len(names)} images; the first is "
            f"{absent[0]!r}",
            valid="one row for each image",
        )
    first: dict[str | None, str] = {}
    for one, key in zip(names, keys, strict=True):
        if first.setdefault(key, one) != one:
            raise DataError(
                f"{file.name} has one row, {key!r}, for {first[key]!r} and for {one!r}",
                valid="a row for each image, by as much of its path as tells it from the others",
            )
    return [(values[key],) if key and values[key] else () for key in keys]


def _in_order(data: Any, name: str, file: Path, rows: Sequence[Mapping[str, Any]]) -> Values:
    if len(rows) != len(data.images):
        raise DataError(
            f"{file.name} has {len(rows)} rows for {len(data.images)} images, and no column "
            f"{FILE_NAME}",
            valid=f"a column {FILE_NAME}, or one row for each image in their order",
        )
    if named := _column_of_names(data, rows):
        raise DataError(
            f"{file.name} names images in the column {named!r} and not in their order, and rows "
            f"without a column {FILE_NAME} are taken in the images' order",
            next_step=f"rename the column {named!r} to {FILE_NAME}",
        )
    return [(row[name],) if row[name] else () for row in rows]


def _column_of_names(data: Any, rows: Sequence[Mapping[str, Any]]) -> str:
    """A column with the names of the images, with or without their type, in another order than
    theirs; "" for none.
    """
    names = data.file_names if isinstance(data, Digested) else ()
    if not all(names):
        return ""
    ends = [{*_ends(one), *_ends(str(PurePosixPath(one).with_suffix("")))} for one in names]
    every = set().union(*ends)
    for column_name in rows[0] if rows else ():
        cells = [str(row[column_name]).replace("\\", "/") for row in rows]
        if every.issuperset(cells) and len(set(cells)) == len(cells):
            own = zip(cells, ends, strict=True)
            if any(cell not in of_image for cell, of_image in own):
                return column_name
    return ""


def _ends(path: str) -> list[str]:
    """A path and its ends: a/b/c.png, b/c.png, c.png."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


def sliced(values: Values, spec: SliceSpec) -> Slicing:
    """The slices of images with these values. Images without a value are a slice too.

    Raises:
        DataError: no image has a value, or there are too many different ones.
    """
    import numpy as np

    every = {value for of_image in values for value in of_image}
    if not every:
        raise DataError(f"no image has a value of {spec.by!r}", valid="a value of some images")
    numbers = {value: number for value in every if (number := _number(value)) is not None}
    if spec.edges and len(numbers) < len(every):
        odd = sorted(str(value) for value in every if value not in numbers)
        raise DataError(
            f"edges are given, and {spec.by!r} has the value {odd[0]!r}", valid="numbers"
        )
    if len(numbers) == len(every) and (spec.edges or len(every) > _MOST_NUMBERS):
        edges = spec.edges or _quarters(values, numbers)
        names = _ranges(spec.by, edges)
        at = {value: sum(number >= edge for edge in edges) for value, number in numbers.items()}
    else:
        if len(every) > _MOST_SLICES:
            raise DataError(
                f"{spec.by!r} has {len(every)} different values",
                valid=f"up to {_MOST_SLICES} values, or numbers",
                next_step="slice by an attribute with fewer values",
            )
        ordered = sorted(every, key=lambda value: (numbers.get(value, math.inf), str(value)))
        # 7 of one table and "7" of another are one camera to people, and one name.
        texts = list(dict.fromkeys(map(str, ordered)))
        names = [f"{spec.by}={text}" for text in texts]
        at = {value: texts.index(str(value)) for value in ordered}
    members = np.zeros((len(names) + 1, len(values)), dtype=np.bool_)
    for image, of_image in enumerate(values):
        for value in of_image:
            members[at[value], image] = True
        members[-1, image] = not of_image
    kept = [row for row in range(len(members)) if members[row].any()]
    every_name = (*names, f"{spec.by}={_NONE}")
    return Slicing(
        by=spec.by,
        names=tuple(every_name[row] for row in kept),
        members=Packed.of(members[kept]),
        least=spec.least,
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _quarters(values: Values, numbers: Mapping[Any, float]) -> tuple[float, ...]:
    """The quartiles of the values, to three digits, each once."""
    import numpy as np

    every = [numbers[value] for of_image in values for value in of_image]
    quartiles = (float(f"{edge:.3g}") for edge in np.quantile(every, (0.25, 0.5, 0.75)))
    return tuple(dict.fromkeys(quartiles))


def _ranges(by: str, edges: Sequence[float]) -> list[str]:
    shown = [_edge(edge) for edge in edges]
    between = [f"{low}<={by}<{high}" for low, high in pairwise(shown)]
    return [f"{by}<{shown[0]}", *between, f"{by}>={shown[-1]}"]


def _edge(edge: float) -> str:
    """As few digits as tell it from other edges: a time in seconds needs ten."""
    short = f"{edge:g}"
    return short if float(short) == edge else repr(edge)
