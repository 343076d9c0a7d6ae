"""What lies in a folder of data, for `pytest-perfgate init`: images, and which tasks' truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_perfgate.cli import init_folders
from pytest_perfgate.cli.init_annotations import annotated
from pytest_perfgate.cli.init_facts import (
    CLASSIFICATION,
    CLIPS,
    DataFacts,
    chosen,
    listable,
)
from pytest_perfgate.cli.init_splits import below, scored_and_training
from pytest_perfgate.cli.init_voc import voc
from pytest_perfgate.cli.init_yolo import yolo
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_folder import is_hidden
from pytest_perfgate.units import count_of

LOOKED_FOR = (
    "COCO's JSON (instances, keypoints, panoptic segments, videos), images/ and masks/ with PNGs, "
    "images/ and labelTxt/ with DOTA's lines, images/ and labels/ with YOLO's, "
    "JPEGImages/ and Annotations/ with VOC's XML, SEQUENCE/img1/ and SEQUENCE/gt/gt.txt, "
    "CLASS/CLIP/000001.jpg, a folder of images for each class, or images"
)


def read_data(folder: Path, task: str = "") -> DataFacts:
    """What lies in the folder: the truth of `task` where it has that, else the first that it has.

    Raises:
        DataError: there is no such folder, no image in it, or its annotations are wrong.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder", where=str(folder), valid="a folder of images")
    first: DataFacts | None = None
    for data in _sets(folder, task):
        if not task or task in data.tasks:
            return data
        first = first or data
    return first or _unannotated(folder)


def _sets(folder: Path, task: str) -> Iterator[DataFacts]:
    """Each data set that the folder can be taken for, the likeliest first."""
    if task == CLIPS:  # else a folder for each class is that of a classifier
        yield from filter(None, [init_folders.clips(folder)])
    yield from filter(None, [init_folders.sequences(folder)])
    yield from annotated(folder)
    yield from filter(None, [init_folders.labels(folder)])
    yield from yolo(folder)
    for read in (voc, init_folders.masks):
        yield from filter(None, [read(folder)])


def _unread(folder: Path) -> list[str]:
    """Names files that may hold a truth that is none of those that are looked for."""
    notes = []
    for suffix in (".csv", ".json", ".jsonl", ".txt", ".xml"):
        found = sorted(
            file.relative_to(folder).as_posix()
            for file in folder.rglob(f"*{suffix}")
            if not is_hidden(file.name) and file.is_file()
        )
        if found:
            count = count_of(len(found), f"file of type {suffix} is", f"files of type {suffix} are")
            notes.append(f"{count} not read: {', '.join(found[:3])}{', ...' * (len(found) > 3)}")
    return notes


def _unannotated(folder: Path) -> DataFacts:
    from pytest_perfgate.tasks.image_folder import pictures

    base = folder / "images" if (folder / "images").is_dir() else folder
    splits = {entry.name.lower(): entry for entry in base.iterdir() if entry.is_dir()}
    notes = []
    held_out, training = scored_and_training(splits)
    if held_out is not None:
        base = held_out
        notes.append(f"validation images are those of {held_out.name}")
    known = {*init_folders.MASKS, *init_folders.LABELS}
    for name in sorted(one.name for key, one in below(folder).items() if key in known):
        notes.append(
            f"{name}/ is not read: it has neither PNGs by the names of the images nor "
            "files of DOTA's, YOLO's or VOC's. COCO's JSON in the folder would be read"
        )
    files, _ = pictures(base)
    names = [file.relative_to(base).as_posix() for file in files]
    if not files:
        raise DataError("there are no images below it", where=str(base), valid=LOOKED_FOR)
    classes = sorted(
        entry.name for entry in base.iterdir() if entry.is_dir() and not is_hidden(entry.name)
    )
    filled = {name.partition("/")[0] for name in names if "/" in name}
    labelled = len(filled) > 1 and all("/" in name for name in names)
    validation, calibration = chosen(
        base, [name for name in names if listable(name)], training, notes
    )
    if not labelled:
        notes += _unread(folder)
        notes.append(f"no truth was found; looked for: {LOOKED_FOR}")
    return DataFacts(
        (CLASSIFICATION,) if labelled else (),
        validation,
        calibration,
        classes=tuple(classes) if labelled else (),
        notes=tuple(notes),
    )
