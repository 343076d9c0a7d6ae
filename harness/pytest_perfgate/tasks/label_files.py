"""Images beside a folder of labels, a file for each image by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.declared_classes import NAMES_FILES
from pytest_perfgate.tasks.image_files import declared_path
from pytest_perfgate.tasks.image_folder import (
    declared_folder,
    is_hidden,
    listed_files,
    listed_names,
    other_types_note,
    pictures,
    refuse_shared,
)


@dataclass(frozen=True)
class LabelFiles:
    """Images, and where the labels of each are.

    Attributes:
        place: the folder of the images.
        files: the images.
        labels: the file of each; one that is not there stands for no objects.
        notes: what was left out or assumed, one sentence each.
    """

    place: Path
    files: tuple[Path, ...]
    labels: tuple[Path, ...]
    notes: tuple[str, ...]


def label_files(source: Mapping[str, Any], folder: Path, root: Path, suffix: str) -> LabelFiles:
    """What `images`, `labels` and `list` of a data set name; labels end in `suffix`.

    Raises:
        DataError: a folder or a listed image is not there, or no image has a file of labels.
    """
    place = declared_folder(source, folder, root)
    names = listed_names(source, folder, root)
    files, others = pictures(place) if names is None else (listed_files(place, names), {})
    if not files:
        raise DataError("there are no images", where=str(place))
    labels = declared_path(folder, str(source["labels"]), root)
    if not labels.is_dir():
        raise DataError("there is no such folder", where=str(labels))
    texts = [(labels / file.relative_to(place)).with_suffix(suffix) for file in files]
    refuse_shared(files, texts, "file of labels")
    missing = sum(not text.is_file() for text in texts)
    if missing == len(files):
        raise DataError(
            f"none of {len(files)} images has a file of labels",
            where=str(labels),
            valid=f"{texts[0]} for {files[0].name}",
        )
    notes = other_types_note(others)
    if missing:
        notes.append(
            f"{missing} of {len(files)} images have no file of labels: they count as images "
            "without objects"
        )
    if names is None:
        notes += of_no_image(labels, texts, suffix)
    return LabelFiles(place, tuple(files), tuple(texts), tuple(notes))


def of_no_image(labels: Path, texts: Sequence[Path], suffix: str) -> list[str]:
    """What to say of label files that are none of `texts`: their images may have been lost."""
    known = set(texts)
    alone = [
        file.relative_to(labels).as_posix()
        for file in sorted(labels.rglob(f"*{suffix}"))
        if file not in known and not is_hidden(file.name) and file.name not in NAMES_FILES
    ]
    if not alone:
        return []
    return [f"{len(alone)} files of labels are of no image (the first: {alone[0]})"]
