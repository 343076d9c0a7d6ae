"""The pictures below a folder, and lists of some of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_files import declared_path, hint, listed_file

TYPES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def is_hidden(name: str) -> bool:
    """Whether tools leave a file or folder of this name out."""
    return name.startswith(".") or name == "__MACOSX"


def pictures(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The pictures below a folder in the order of their names, links followed, and how many files
    of which other types.
    """
    files: list[Path] = []
    others: Counter[str] = Counter()
    walked: set[str] = set()
    for parent, below, names in os.walk(folder, followlinks=True):
        walked.add(os.path.realpath(parent))
        # A link to a folder above would never end.
        below[:] = sorted(
            name
            for name in below
            if not is_hidden(name) and os.path.realpath(Path(parent, name)) not in walked
        )
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            if is_hidden(name):
                continue
            if suffix in TYPES:
                files.append(Path(parent, name))
            else:
                others[suffix or "without a suffix"] += 1
    return files, others


def other_types_note(others: Mapping[str, int]) -> list[str]:
    """What to say of files that are no pictures."""
    if not others:
        return []
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
    return [f"left out of the files, because they are no images: {kinds}"]


def loose_note(place: Path, what: str) -> list[str]:
    """What to say of pictures directly in a folder whose folders are `what`."""
    loose = sorted(
        entry.name
        for entry in place.iterdir()
        if entry.suffix.lower() in TYPES and not is_hidden(entry.name) and entry.is_file()
    )
    if not loose:
        return []
    return [f"left out of the files: {len(loose)} in no folder of a {what} (the first: {loose[0]})"]


def declared_folder(source: Mapping[str, Any], folder: Path, root: Path) -> Path:
    """The folder of images that a data set declares.

    Raises:
        DataError: there is none.
    """
    place = declared_path(folder, str(source["images"]), root)
    if not place.is_dir():
        raise DataError("there is no such folder", where=str(place))
    return place


def listed_names(source: Mapping[str, Any], folder: Path, root: Path) -> list[str] | None:
    """The names in the text file that `list` of a data set declares, one a line, without empty
    lines and those that begin with `#`; None: the data set declares no list.

    Raises:
        DataError: the file cannot be read, names nothing, or names a picture twice.
    """
    if "list" not in source:
        return None
    file = declared_path(folder, str(source["list"]), root)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"the list cannot be read: {reason}", where=str(file)) from error
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise DataError("the list names no image", where=str(file), valid="a path in each line")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"the list names {name!r} {count} times", where=str(file))
    return names


def listed_files(pictures_folder: Path, names: Sequence[str]) -> list[Path]:
    """The file of each name of a list.

    Raises:
        DataError: one is not there.
    """
    files = []
    for name in names:
        file = listed_file(pictures_folder, name)
        if file is None:
            raise DataError(
                f"the listed image {name!r} is not there",
                where=str(pictures_folder),
                next_step=hint(pictures_folder, name) or "take its line out of the list",
            )
        files.append(file)
    refuse_twice(files, names)
    return files


def refuse_twice(files: Sequence[Path], names: Sequence[str]) -> None:
    """Check that no two names are of one picture: it would count twice, and where each has a part
    of its objects, as in files that tools have joined, its score would be wrong.

    Raises:
        DataError: two are; names both.
    """
    first: dict[Path, str] = {}
    for file, name in zip(files, names, strict=True):
        if file in first:
            raise DataError(
                f"{first[file]!r} and {name!r} name one picture",
                where=str(file),
                valid="one entry for each picture",
                next_step="join the two entries, with the objects of both",
            )
        first[file] = name


def refuse_other_keys(source: Mapping[str, Any], valid: Sequence[str]) -> None:
    """Check that a declared data set has `images`, and no key but `valid`.

    Raises:
        DataError: it has another, or lacks `images`.
    """
    if "images" not in source or not source.keys() <= set(valid):
        raise DataError(f"the data set has the keys {sorted(source)}", valid=", ".join(valid))


def refuse_shared(files: Sequence[Path], truths: Sequence[Path], what: str) -> None:
    """Check that no two images have one file of truth, a `what`: whose it is nobody can know.

    Raises:
        DataError: names both images.
    """
    first: dict[Path, Path] = {}
    for file, truth in zip(files, truths, strict=True):
        if first.setdefault(truth, file) != file:
            raise DataError(
                f"the images {first[truth].name} and {file.name} share a {what}, {truth.name}",
                where=str(file.parent),
                next_step="rename one of them, or leave it out with a list",
            )
