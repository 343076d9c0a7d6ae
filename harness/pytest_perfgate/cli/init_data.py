"""What lies in a folder of data, for `pytest-perfgate init`: images, their classes or annotations,
and which of them calibrate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_perfgate.errors import DataError

if TYPE_CHECKING:
    from pytest_perfgate.stats.expected_change import Objects

DETECTION, CLASSIFICATION = "detection", "classification"
"""Tasks that a suite is written for."""

CALIBRATION = 64
"""Images that calibrate, at most: as many as the step `quantize` uses."""

VALIDATION = 500
"""Images that a first suite scores, at most: some minutes of a large detector."""

_TRAINING = ("train", "training", "train2017")
_HELD_OUT = ("val", "valid", "validation", "val2017", "test", "testing")
_JSON_FILES = 20  # that are read: a folder may have one for each image
_TRIED = 20  # file names of an annotation file that are looked up in a folder

Kind = Literal["coco", "classes", "images"]


@dataclass(frozen=True)
class Pictures:
    """Some images of a folder, by the names that a list has of them; `whole`: they are all of
    those below the folder.
    """

    folder: Path
    names: tuple[str, ...]
    whole: bool


@dataclass(frozen=True)
class DataFacts:
    """What is known of a data set.

    Attributes:
        kind: "coco": annotated by a file of COCO instances; "classes": a folder for each class;
            "images": nothing is known of the images.
        annotations: the file of COCO instances.
        classes: names of categories or classes, in the order of the file or of the folders.
        objects: objects to find (images, categories) in the validation images.
        notes: how images were chosen, one sentence each.
    """

    kind: Kind
    validation: Pictures
    calibration: Pictures | None
    annotations: Path | None = None
    classes: tuple[str, ...] = ()
    objects: Objects | None = None
    notes: tuple[str, ...] = field(default=())

    def scores(self, task: str) -> bool:
        """Whether the data has the truth that a task is scored by."""
        return self.kind == {DETECTION: "coco", CLASSIFICATION: "classes"}[task]


def read_data(folder: Path) -> DataFacts:
    """What lies in the folder.

    Raises:
        DataError: there is no such folder, no image in it, or its annotations are wrong.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder", where=str(folder), valid="a folder of images")
    for file in _json_files(folder):
        coco = _instances(file)
        if coco is not None:
            return _annotated(folder, file, coco)
    return _unannotated(folder)


def _json_files(folder: Path) -> list[Path]:
    """Files that may hold instances, those of held-out images first."""
    files = [*folder.glob("*.json"), *folder.glob("*/*.json")]

    def order(file: Path) -> tuple[bool, bool, bool, str]:
        name = f"{file.parent.name}/{file.name}".lower()
        held_out = any(word in name for word in ("val", "test"))
        return "train" in name, not held_out, "instances" not in name, str(file)

    files = [file for file in files if not file.name.startswith(".")]
    return sorted(files, key=order)[:_JSON_FILES]


def _instances(file: Path) -> dict[str, Any] | None:
    """COCO instances with boxes; None: the file holds something else."""
    from pytest_perfgate.tasks.coco.files import read_instances_file

    try:
        coco = read_instances_file(file)
    except DataError:
        return None
    annotations = coco.get("annotations")
    if not isinstance(annotations, list) or not isinstance(coco.get("categories"), list):
        return None
    boxed = not annotations or any(
        isinstance(entry, dict) and "bbox" in entry for entry in annotations[:_TRIED]
    )
    return coco if boxed else None


def _annotated(folder: Path, file: Path, coco: Mapping[str, Any]) -> DataFacts:
    import numpy as np

    from pytest_perfgate.tasks.coco.instances import of_images, read_instances
    from pytest_perfgate.tasks.image_files import listed_file

    names = [
        str(entry["file_name"])
        for entry in coco["images"]
        if isinstance(entry, dict) and entry.get("file_name")
    ]
    place = _place_of(folder, file, names)
    present = [name for name in names if _listable(name) and listed_file(place, name) is not None]
    notes = []
    if len(present) < len(names):
        notes.append(
            f"{len(present)} of {len(names)} images of {file.name} are there and can be listed"
        )
    validation, calibration = _chosen(place, present, _training_beside(place), notes)
    try:
        subset = of_images(coco, validation.names)
        instances = read_instances(subset, len(validation.names))
    except DataError as error:
        raise error.at(str(file)) from None
    objects = np.zeros((len(validation.names), len(instances.categories)), dtype=np.int64)
    rows = ~instances.crowd
    np.add.at(objects, (instances.image[rows], instances.category[rows]), 1)
    if not objects.any():
        notes.append(f"{file.name} has no objects in these images: nothing can be scored")
        return DataFacts("images", validation, calibration, notes=tuple(notes))
    whole = validation.whole and len(validation.names) == len(names)
    return DataFacts(
        "coco",
        Pictures(place, validation.names, whole),
        calibration,
        annotations=file,
        classes=instances.categories,
        objects=objects,
        notes=tuple(notes),
    )


def _place_of(folder: Path, file: Path, names: Sequence[str]) -> Path:
    """The folder that the file names of instances are relative to.

    Raises:
        DataError: there are no entries, or none of the first is in a folder near the file.
    """
    from pytest_perfgate.tasks.image_files import listed_file

    if not names:
        raise DataError("no entry of images has a file_name", where=str(file))
    near = [file.parent, folder, *sorted(path for path in folder.glob("*/") if path.is_dir())]
    near += sorted(path for path in folder.glob("*/*/") if path.is_dir())
    stem = file.stem.rpartition("_")[2]  # instances_val2017.json lies beside val2017
    near.sort(key=lambda path: path.name != stem)
    counts: dict[Path, int] = {}
    for place in near:
        try:
            counts[place] = sum(listed_file(place, name) is not None for name in names[:_TRIED])
        except DataError:  # a name that leads out of this folder
            continue
    best = max(counts, key=lambda place: counts[place], default=folder)
    if not counts.get(best):
        raise DataError(
            f"no folder near it has the image {names[0]!r}",
            where=str(file),
            valid="images below the folder of data, by the file_name of their entries",
        )
    return best


def _training_beside(place: Path) -> Path | None:
    """The folder of training images beside one of held-out images."""
    if place.name.lower() not in _HELD_OUT:
        return None
    for name in _TRAINING:
        if (place.parent / name).is_dir():
            return place.parent / name
    return None


def _unannotated(folder: Path) -> DataFacts:
    from pytest_perfgate.tasks.image_folder import is_hidden, pictures

    base = folder / "images" if (folder / "images").is_dir() else folder
    splits = {entry.name.lower(): entry for entry in base.iterdir() if entry.is_dir()}
    notes = []
    held_out = next((splits[word] for word in _HELD_OUT if word in splits), None)
    if held_out is not None:
        base, training = held_out, _training_beside(held_out)
        notes.append(f"validation images are those of {held_out.name}")
    else:
        training = None
    if (folder / "labels").is_dir():
        notes.append(
            "labels/*.txt are not read: COCO instances as JSON in the folder would be "
            "(yolo's converters and supervision write them)"
        )
    files, _ = pictures(base)
    names = [file.relative_to(base).as_posix() for file in files]
    if not files:
        raise DataError(
            "there are no images below it",
            where=str(base),
            valid="images, a folder of images for each class, or images with COCO instances as "
            "JSON",
        )
    classes = sorted(
        entry.name for entry in base.iterdir() if entry.is_dir() and not is_hidden(entry.name)
    )
    filled = {name.partition("/")[0] for name in names if "/" in name}
    labelled = len(filled) > 1 and all("/" in name for name in names)
    listable = [name for name in names if _listable(name)]
    validation, calibration = _chosen(base, listable, training, notes)
    return DataFacts(
        "classes" if labelled else "images",
        validation,
        calibration,
        classes=tuple(classes) if labelled else (),
        notes=tuple(notes),
    )


def _chosen(
    place: Path, names: Sequence[str], training: Path | None, notes: list[str]
) -> tuple[Pictures, Pictures | None]:
    """Validation and calibration images, none of them in both; says how in `notes`.

    Raises:
        DataError: there is no image.
    """
    from pytest_perfgate.tasks.image_files import listed_file
    from pytest_perfgate.tasks.image_folder import pictures

    if not names:
        raise DataError("there are no images", where=str(place))
    if training is not None:
        others = [file.relative_to(training).as_posix() for file in pictures(training)[0]]
        few = _spaced([name for name in others if _listable(name)], CALIBRATION)
        held, where = list(names), training
        notes.append(f"calibration images are {len(few)} of {len(others)} of {training.name}")
    else:
        few = _spaced(names, min(CALIBRATION, len(names) // 4 or len(names) // 2))
        taken = set(few)
        held, where = [name for name in names if name not in taken], place
        notes.append(
            f"one folder: {len(few)} of its {len(names)} images calibrate and are not scored"
        )
    if len(held) > VALIDATION:
        notes.append(f"{VALIDATION} of {len(held)} images are scored: add names to the list")
        held = _spaced(held, VALIDATION)
    whole = training is not None and len(held) == len(names)
    scored = [listed_file(place, name) for name in held]
    distinct = [name for name in few if not _is_copy(listed_file(where, name), scored)]
    if len(distinct) < len(few):
        notes.append(
            f"{len(few) - len(distinct)} calibration images were copies of scored ones: left out"
        )
        few = distinct
    calibration = Pictures(where, tuple(few), False) if few else None
    return Pictures(place, tuple(held), whole), calibration


def _spaced(names: Sequence[str], count: int) -> list[str]:
    """`count` of the names, evenly spaced in their order: some of each class's folder."""
    if count >= len(names):
        return list(names)
    return [names[index * len(names) // count] for index in range(count)]


def _is_copy(file: Path | None, others: Sequence[Path | None]) -> bool:
    """Whether one of the other files has the same content. Only files of its size are read."""
    if file is None:
        return False
    size = file.stat().st_size
    same = [other for other in others if other is not None and other.stat().st_size == size]
    return bool(same) and _digest(file) in {_digest(other) for other in same}


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _listable(name: str) -> bool:
    """Whether a line of a list can hold the name."""
    return name == name.strip() and not name.startswith("#") and len(name.splitlines()) == 1
