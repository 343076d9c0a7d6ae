"""A declared data set of classification: a folder of images for each class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.classification_data import ClassificationData
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path

_TYPES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def read_folder(source: Mapping[str, Any], folder: Path, root: Path) -> ClassificationData:
    """A declared data set: `{ images = "folder" }`, a folder of images for each class, in the order
    of their names as text. Folders inside a class's folder belong to it. Hidden files and folders
    are left out.

    Raises:
        DataError: names the folder, and what is wrong with it.
    """
    if source.keys() != {"images"}:
        raise DataError(f"the data set has the keys {sorted(source)}", valid="images")
    place = declared_path(folder, str(source["images"]), root)
    if not place.is_dir():
        raise DataError("there is no such folder", where=str(place))
    folders = sorted(entry.name for entry in place.iterdir() if entry.is_dir())
    hidden = [name for name in folders if _is_hidden(name)]
    classes = [name for name in folders if not _is_hidden(name)]
    if len(classes) > 1 and {name.lower() for name in classes} <= _SPLITS:
        raise DataError(
            f"the folders {', '.join(classes)} are splits, not classes",
            where=str(place),
            next_step=f"name one of them: images = {str(Path(source['images'], classes[0]))!r}",
        )
    files: list[Path] = []
    labels: list[int] = []
    others: Counter[str] = Counter()
    for label, name in enumerate(classes):
        pictures, passed = _pictures(place / name)
        files += pictures
        labels += [label] * len(pictures)
        others += passed
    if not files:
        raise DataError(
            "there are no images", where=str(place), valid="a folder of images for each class"
        )
    return ClassificationData(
        ImageFiles(files, _notes(classes, labels, hidden, others)), labels, classes
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _pictures(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The pictures below a folder, links followed, and how many files of which other types."""
    pictures: list[Path] = []
    others: Counter[str] = Counter()
    walked: set[str] = set()
    for parent, below, names in os.walk(folder, followlinks=True):
        walked.add(os.path.realpath(parent))
        # A link to a folder above would never end.
        below[:] = sorted(
            name
            for name in below
            if not _is_hidden(name) and os.path.realpath(Path(parent, name)) not in walked
        )
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            if _is_hidden(name):
                continue
            if suffix in _TYPES:
                pictures.append(Path(parent, name))
            else:
                others[suffix or "without a suffix"] += 1
    return pictures, others


def _notes(
    classes: list[str], labels: list[int], hidden: list[str], others: Counter[str]
) -> list[str]:
    """What was left out or assumed, one sentence each."""
    notes = []
    if hidden:
        notes.append(f"left out of the folders: {', '.join(hidden)}")
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        notes.append(f"left out of the files, because they are no images: {kinds}")
    if empty := [name for label, name in enumerate(classes) if label not in set(labels)]:
        notes.append(f"classes without images: {', '.join(empty)}")
    if all(name.isdecimal() for name in classes) and sorted(classes, key=int) != classes:
        notes.append(
            "the network's classes are counted in the order of the folders' names as text, which "
            f"is not that of their numbers: {', '.join(classes[:6])}, ..."
        )
    return notes
