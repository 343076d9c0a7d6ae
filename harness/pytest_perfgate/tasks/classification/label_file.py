"""The classes of images in a file, where folders do not tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError, suggestion
from pytest_perfgate.tasks.declared_classes import declared_classes, text_lines
from pytest_perfgate.tasks.image_files import declared_path
from pytest_perfgate.tasks.label_rows import csv_rows


@dataclass(frozen=True)
class LabelFile:
    """What a file says of images.

    Attributes:
        labels: index into `classes`, by the image's name in the file.
        classes: names, in the order of the network's classes.
        columns: further columns of a CSV, each with the value of every image in the file's order.
    """

    labels: Mapping[str, int]
    classes: tuple[str, ...]
    columns: Mapping[str, Mapping[str, str]]


def read_label_file(source: Mapping[str, Any], folder: Path, root: Path) -> LabelFile:
    """`labels` of a data set: a CSV whose first row is `file,label` and maybe further names, or a
    text file whose lines are a file and its label, as ImageNet's `val.txt`. Labels are names, or
    numbers into `classes`. Without `classes` the names are in their order as text.

    Raises:
        DataError: names the file, the row and what is wrong with it.
    """
    file = declared_path(folder, str(source["labels"]), root)
    rows = _rows_of_csv(file) if file.suffix.lower() == ".csv" else _rows_of_lines(file)
    if not rows.labels:
        raise DataError("the file names no image", where=str(file))
    given = set(rows.labels.values())
    if "classes" in source:
        classes = declared_classes(source, folder, root)
    elif all(map(_is_number, given)):
        raise DataError(
            "the labels are numbers, and classes does not name them",
            where=str(file),
            valid='classes = ["cat", "dog"], or a text file with a name in each line',
        )
    else:
        classes = tuple(sorted(given))
    index = {name: number for number, name in enumerate(classes)}
    if not given <= index.keys() and all(map(_is_number, given)):
        index = {str(number): number for number in range(len(classes))}
    labels = {}
    for name, label in rows.labels.items():
        key = str(int(label)) if _is_number(label) and label not in index else label
        if key not in index:
            raise DataError(
                f"the image {name!r} has the label {label!r}, which is not among the classes",
                where=str(file),
                valid=f"numbers from 0 to {len(classes) - 1}"
                if _is_number(label)
                else suggestion(label, classes),
            )
        labels[name] = index[key]
    return LabelFile(labels, classes, rows.columns)


@dataclass(frozen=True)
class _Rows:
    """Labels as they are written, and further columns, by the names of images."""

    labels: Mapping[str, str]
    columns: Mapping[str, Mapping[str, str]]


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _rows_of_csv(file: Path) -> _Rows:
    header, *rows = csv_rows(file) or [[]]
    if len(header) < 2 or header[:2] != ["file", "label"] or len(set(header)) < len(header):
        raise DataError(
            f"the first row is {','.join(header)[:80]!r}",
            where=str(file),
            valid="file,label and names of further columns, no two the same",
        )
    labels: dict[str, str] = {}
    columns: dict[str, dict[str, str]] = {name: {} for name in header[2:]}
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        if len(row) != len(header):
            raise DataError(
                f"row {number} has {len(row)} cells: {','.join(row)[:80]!r}",
                where=str(file),
                valid=f"{len(header)} cells, as in the first row",
            )
        _add(labels, row[0], row[1], f"row {number}", file)
        for name, value in zip(header[2:], row[2:], strict=True):
            columns[name][row[0]] = value
    return _Rows(labels, columns)


def _rows_of_lines(file: Path) -> _Rows:
    labels: dict[str, str] = {}
    for number, line in enumerate(text_lines(file), 1):
        if not line.strip():
            continue
        name, *label = line.strip().rsplit(maxsplit=1)
        _add(labels, name, label[0] if label else "", f"line {number}", file)
    return _Rows(labels, {})


def _add(labels: dict[str, str], name: str, label: str, place: str, file: Path) -> None:
    """Adds a row.

    Raises:
        DataError: it has no file or no label, or names an image again.
    """
    if not name or not label or name in labels:
        problem = "names an image again" if name in labels else "is no file with its label"
        raise DataError(
            f"{place} {problem}: {name[:80]!r}", where=str(file), valid="a file and its label"
        )
    labels[name] = label


def listed(of: LabelFile, names: Sequence[str] | None, file: str) -> list[str]:
    """The images to read: all of the file, or those of a list.

    Raises:
        DataError: a listed image has no label.
    """
    if names is None:
        return list(of.labels)
    absent = [name for name in names if name not in of.labels]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(names)} listed images have no label; the first is "
            f"{absent[0]!r}",
            where=file,
        )
    return list(names)
