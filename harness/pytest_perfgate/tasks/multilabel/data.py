"""Multi-label classification: images with any number of labels each, and files of labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.classification.data import LabelledImages, whole
from pytest_perfgate.tasks.coco.ids import short
from pytest_perfgate.tasks.image_files import ImageFiles, SomeImages, declared_path
from pytest_perfgate.tasks.image_folder import (
    declared_folder,
    listed_files,
    listed_names,
    other_types_note,
    pictures,
    refuse_other_keys,
)
from pytest_perfgate.tasks.label_rows import csv_rows


@dataclass(frozen=True)
class MultilabelData(LabelledImages):
    """Images and the labels of each; or images alone, without labels and classes.

    Attributes:
        images: uint8 (H, W, 3) RGB each.
        labels: of each image a row (C,) of 0 and 1; none, where no image has any.
        classes: names of the labels, in the order of the network's outputs.

    Raises:
        DataError: they do not fit together; names the image.
    """

    images: Sequence[Any]
    labels: Sequence[Any]
    classes: Sequence[str]

    def __post_init__(self) -> None:
        if not self.classes and not len(self.labels):
            return
        if len(self.labels) != len(self.images):
            raise DataError(f"there are {len(self.images)} images and {len(self.labels)} rows")
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"the classes are {list(self.classes)}", valid="each with its own name")
        for index, row in enumerate(self.labels):
            if len(row) != len(self.classes) or not all(whole(value) in (0, 1) for value in row):
                raise DataError(
                    f"image {index} has the labels {short(list(row))}",
                    valid=f"{len(self.classes)} numbers, 0 or 1 each",
                )

    def part(self, rows: Sequence[int]) -> MultilabelData:
        """The images of `rows` alone, with all classes."""
        labels = [self.labels[row] for row in rows] if self.labelled else ()
        return replace(self, images=SomeImages(self.images, rows), labels=labels)

    @cached_property
    def digest(self) -> str:
        """One text for all images and labels, equal only when all of them are."""
        rows = [[int(value) for value in row] for row in self.labels]
        known = json.dumps([rows, list(self.classes)])
        return hashlib.sha256(("\n".join(self.digests) + known).encode()).hexdigest()


def read_labels(source: Mapping[str, Any], folder: Path, root: Path) -> MultilabelData:
    """A declared data set: `{ images = "folder", labels = "labels.csv" }`. The file's first row has
    a name for the column of files and the names of the labels; each further row a file, relative to
    the folder of images, and 0 or 1 for each label. Without `labels` the images alone. `list` names
    a text file with some of the images.

    Raises:
        DataError: names the file, the line and what is wrong with it.
    """
    refuse_other_keys(source, ("images", "labels", "list"))
    place = declared_folder(source, folder, root)
    wanted = listed_names(source, folder, root)
    if "labels" not in source:
        files, others = pictures(place) if wanted is None else (listed_files(place, wanted), {})
        if not files:
            raise DataError("there are no images", where=str(place))
        return MultilabelData(ImageFiles(files, other_types_note(others)), (), ())
    file = declared_path(folder, str(source["labels"]), root)
    classes, rows = _read(file)
    if wanted is not None:
        absent = [name for name in wanted if name not in rows]
        if absent:
            raise DataError(f"the listed image {absent[0]!r} has no labels", where=str(file))
        rows = {name: rows[name] for name in wanted}
    if not rows:
        raise DataError("there are no images", where=str(file))
    files = listed_files(place, list(rows))
    return MultilabelData(ImageFiles(files, []), list(rows.values()), classes)


def _read(file: Path) -> tuple[list[str], dict[str, list[int]]]:
    """Names of labels, and by the name of an image its labels."""
    first, *others = csv_rows(file) or [[]]
    classes = first[1:]
    if not classes or not all(classes) or len(set(classes)) != len(classes):
        raise DataError(
            f"the first row is {','.join(first)!r}",
            where=str(file),
            valid="file,LABEL,LABEL, each label with its own name",
        )
    rows: dict[str, list[int]] = {}
    for number, line in enumerate(others, 2):
        if not line:
            continue
        name, *values = line
        if len(values) != len(classes) or not set(values) <= {"0", "1"} or name in rows:
            problem = "names an image again" if name in rows else "is no file with its labels"
            raise DataError(
                f"row {number} {problem}: {','.join(line)[:80]!r}",
                where=str(file),
                valid=f"a file, and 0 or 1 for each of {len(classes)} labels",
            )
        rows[name] = [int(value) for value in values]
    return classes, rows
