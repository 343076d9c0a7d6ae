"""What is known of a folder of data, and which of its images calibrate, for
`pytest-perfgate init`.
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

DETECTION, CLASSIFICATION, CLIPS = "detection", "classification", "clip_classification"
SEGMENTATION, INSTANCES, PANOPTIC = "segmentation", "instances", "panoptic"
POSE, ORIENTED, TRACKING = "pose", "oriented", "tracking"
TASKS = (
    CLASSIFICATION,
    CLIPS,
    DETECTION,
    INSTANCES,
    ORIENTED,
    PANOPTIC,
    POSE,
    SEGMENTATION,
    TRACKING,
)
"""Tasks that a suite is written for."""

CALIBRATION = 64
"""Images that calibrate, at most: as many as the step `quantize` uses."""

VALIDATION = 500
"""Images that a first suite scores, at most: some minutes of a large detector."""

Key = Literal["images", "sequences", "clips"]


@dataclass(frozen=True)
class Pictures:
    """Some images of a folder, by the names that a list has of them; `whole`: they are all of
    those below the folder. With the key "sequences" or "clips" these are the names of its folders
    of frames.
    """

    folder: Path
    names: tuple[str, ...]
    whole: bool
    key: Key = "images"


@dataclass(frozen=True)
class DataFacts:
    """What is known of a data set.

    Attributes:
        tasks: whose truth it has, the likeliest first; none: nothing is known of the images.
        truth: further keys of the validation split in a suite file; files and folders as paths.
        classes: names of categories or classes, in the order of the file or of the folders.
        things: of a panoptic set, whether each class is of things.
        keypoints: of a pose set, how many an object has.
        objects: objects to find (images, categories) in the validation images.
        notes: how images were chosen, one sentence each.
        unknown: what the folder does not say, one sentence each.
    """

    tasks: tuple[str, ...]
    validation: Pictures
    calibration: Pictures | None
    truth: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    things: tuple[bool, ...] = ()
    keypoints: int = 0
    objects: Objects | None = None
    notes: tuple[str, ...] = field(default=())
    unknown: tuple[str, ...] = field(default=())

    def scores(self, task: str) -> bool:
        """Whether the data has the truth that a task is scored by."""
        return task in self.tasks


def chosen(
    place: Path,
    names: Sequence[str],
    training: Path | None,
    notes: list[str],
    others: Sequence[str] | None = None,
) -> tuple[Pictures, Pictures | None]:
    """Validation and calibration images, none of them in both; says how in `notes`. `others` are
    the images of `training` to choose from; default: all of them.

    Raises:
        DataError: there is no image.
    """
    from pytest_perfgate.tasks.image_files import listed_file
    from pytest_perfgate.tasks.image_folder import pictures

    if not names:
        raise DataError("there are no images", where=str(place))
    if training is not None:
        if others is None:
            others = [file.relative_to(training).as_posix() for file in pictures(training)[0]]
        few = _spaced([name for name in others if listable(name)], CALIBRATION)
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


def listable(name: str) -> bool:
    """Whether a line of a list can hold the name."""
    return name == name.strip() and not name.startswith("#") and len(name.splitlines()) == 1
