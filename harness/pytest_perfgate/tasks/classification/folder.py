"""A declared data set of classification: a folder of images for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from pytest_perfgate.errors import DataError, suggestion
from pytest_perfgate.tasks.classification.data import ClassificationData
from pytest_perfgate.tasks.classification.label_file import listed, read_label_file
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.image_folder import (
    declared_folder,
    is_hidden,
    listed_files,
    listed_names,
    loose_note,
    other_types_note,
    pictures,
    refuse_other_keys,
)

SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
_SHOWN = 8


def read_folder(source: Mapping[str, Any], folder: Path, root: Path) -> ClassificationData:
    """A declared data set: `{ images = "folder" }`, a folder of images for each class, in the order
    of their names as text. Folders inside a class's folder belong to it. Hidden files and folders
    are left out. `list` names a text file with some of the images. With `labels = false` folders
    are no classes; with `labels = "labels.csv"` that file has them.

    Raises:
        DataError: names the folder, and what is wrong with it.
    """
    refuse_other_keys(source, ("images", "list", "labels", "classes"))
    labels = source.get("labels", True)
    if not isinstance(labels, (bool, str)):
        raise DataError(f"labels is {labels!r}", valid="a file, true, false")
    if "classes" in source and not isinstance(labels, str):
        raise DataError(
            "classes is for a file of labels",
            valid='labels = "labels.csv"; folders have their own names',
            next_step="for a network of another order, set classes in [suite.output]",
        )
    place = declared_folder(source, folder, root)
    names = listed_names(source, folder, root)
    if isinstance(labels, str):
        return _of_file(source, folder, root, place, names)
    return _labelled(source, place, names) if labels else _unlabelled(place, names)


def _of_file(
    source: Mapping[str, Any], folder: Path, root: Path, place: Path, names: list[str] | None
) -> ClassificationData:
    told = read_label_file(source, folder, root)
    chosen = listed(told, names, str(source["labels"]))
    files = listed_files(place, chosen)
    notes = []
    if names is None:
        known = {file.resolve() for file in files}
        unknown = [file for file in pictures(place)[0] if file.resolve() not in known]
        if unknown:
            notes.append(
                f"left out: {len(unknown)} images without a label (the first: "
                f"{unknown[0].relative_to(place).as_posix()})"
            )
    labels = [told.labels[name] for name in chosen]
    if empty := [name for label, name in enumerate(told.classes) if label not in set(labels)]:
        notes.append(f"classes without images: {_shortened(empty)}")
    columns = {key: [value[name] for name in chosen] for key, value in told.columns.items()}
    return ClassificationData(ImageFiles(files, notes), labels, told.classes, columns)


def _unlabelled(place: Path, names: list[str] | None) -> ClassificationData:
    files, others = pictures(place) if names is None else (listed_files(place, names), Counter())
    if not files:
        raise DataError("there are no images", where=str(place))
    return ClassificationData(ImageFiles(files, other_types_note(others)), (), ())


def _labelled(
    source: Mapping[str, Any], place: Path, names: list[str] | None
) -> ClassificationData:
    folders = sorted(entry.name for entry in place.iterdir() if entry.is_dir())
    hidden = [name for name in folders if is_hidden(name)]
    classes = [name for name in folders if not is_hidden(name)]
    if len(classes) > 1 and {name.lower() for name in classes} <= SPLITS:
        raise DataError(
            f"the folders {', '.join(classes)} are splits, not classes",
            where=str(place),
            next_step=f"name one of them: images = {str(Path(source['images'], classes[0]))!r}",
        )
    files: list[Path] = []
    labels: list[int] = []
    others: Counter[str] = Counter()
    loose: list[str] = []
    if names is None:
        loose = loose_note(place, "class")
        for label, name in enumerate(classes):
            own, passed = pictures(place / name)
            files += own
            labels += [label] * len(own)
            others += passed
    else:
        files = listed_files(place, names)
        labels = [_label(name, classes, place) for name in names]
    if not files:
        raise DataError(
            "there are no images", where=str(place), valid="a folder of images for each class"
        )
    return ClassificationData(
        ImageFiles(files, [*loose, *_notes(classes, labels, hidden, others)]), labels, classes
    )


def _label(name: str, classes: list[str], place: Path) -> int:
    """The class of a listed image: that of the first folder of its path."""
    first = PurePath(name.replace("\\", "/")).parts[0]
    if first not in classes:
        raise DataError(
            f"the listed image {name!r} is in the folder of no class",
            where=str(place),
            valid=suggestion(first, classes),
        )
    return classes.index(first)


def _shortened(names: list[str]) -> str:
    """The first names: of a thousand classes most may be missing."""
    return ", ".join(names[:_SHOWN]) + (
        f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    )


def _notes(
    classes: list[str], labels: list[int], hidden: list[str], others: Counter[str]
) -> list[str]:
    """What was left out or assumed, one sentence each."""
    notes = []
    if hidden:
        notes.append(f"left out of the folders: {', '.join(hidden)}")
    notes += other_types_note(others)
    if empty := [name for label, name in enumerate(classes) if label not in set(labels)]:
        notes.append(f"classes without images: {_shortened(empty)}")
    if all(name.isdecimal() for name in classes) and sorted(classes, key=int) != classes:
        notes.append(
            "classes are in the order of the folders' names as text, which is not that of their "
            f"numbers: {', '.join(classes[:6])}, ...; without classes in [suite.output] the "
            "network's classes are counted so"
        )
    return notes
