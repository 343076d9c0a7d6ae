"""Keypoints of COCO's instances: names, visibility, and the tolerance of each."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.ids import place, short

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.coco.instances import Instances

PERSON = {
    "nose": 0.026,
    "left_eye": 0.025,
    "right_eye": 0.025,
    "left_ear": 0.035,
    "right_ear": 0.035,
    "left_shoulder": 0.079,
    "right_shoulder": 0.079,
    "left_elbow": 0.072,
    "right_elbow": 0.072,
    "left_wrist": 0.062,
    "right_wrist": 0.062,
    "left_hip": 0.107,
    "right_hip": 0.107,
    "left_knee": 0.087,
    "right_knee": 0.087,
    "left_ankle": 0.089,
    "right_ankle": 0.089,
}
"""COCO's keypoints of a person with their sigmas: the spread of annotators, as a fraction of the
square root of the object's area (Ronchi & Perona 2017)."""

_NOT_LABELLED, _VISIBLE = 0, 2
_VALID = "x, y and visibility of each keypoint; visibility is 0 (not labelled), 1 (hidden) or 2"


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of the objects of `Instances`, in their order.

    Attributes:
        names: of the keypoints, (K,).
        sigmas: of each keypoint, (K,), as a fraction of the square root of the object's area.
        bones: pairs of indices of keypoints that are joined, for pictures.
        points: float64 (O, K, 2), x and y in pixels; 0 where nothing is labelled.
        labelled: bool (O, K).
        notes: what was assumed, one sentence each.
    """

    names: tuple[str, ...]
    sigmas: tuple[float, ...]
    bones: tuple[tuple[int, int], ...]
    points: npt.NDArray[np.float64]
    labelled: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def read_keypoints(
    coco: Mapping[str, Any], instances: Instances, sigmas: Sequence[float] = ()
) -> Keypoints:
    """The keypoints of the instances that were read from `coco`. Without `sigmas` those of COCO's
    person, for its 17 keypoints.

    Raises:
        DataError: names the entry, its value and what is valid.
    """
    import numpy as np

    entries = [coco["annotations"][row] for row in instances.rows.tolist()]
    with_keypoints = [entry for entry in entries if entry.get("keypoints") is not None]
    names, bones = _names(coco["categories"], with_keypoints)
    count = len(names)
    numbers_of = np.zeros((len(entries), count, 3), dtype=np.float64)
    for index, (row, entry) in enumerate(zip(instances.rows.tolist(), entries, strict=True)):
        if entry.get("keypoints") is not None:
            numbers_of[index] = np.reshape(_triples(row, entry, count), (count, 3))
    labelled = numbers_of[..., 2] > _NOT_LABELLED
    _refuse_fractions(numbers_of[..., :2][labelled])
    return Keypoints(
        names=names,
        sigmas=_sigmas(names, sigmas),
        bones=bones,
        points=np.where(labelled[..., None], numbers_of[..., :2], 0.0),
        labelled=labelled,
        notes=tuple(_notes(entries, labelled.sum(axis=1).tolist())),
    )


def _names(
    categories: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Names of the keypoints, which all categories share, and the pairs of them that are joined."""
    declared = [
        (entry, [str(name) for name in entry["keypoints"]])
        for entry in categories
        if isinstance(entry.get("keypoints"), (list, tuple)) and entry["keypoints"]
    ]
    if not declared:
        if not entries:
            raise DataError(
                "no annotation has keypoints: these are instances of another task",
                valid=f"keypoints: {_VALID}",
                next_step='take person_keypoints_*.json, or write task = "detection"',
            )
        numbers_of = entries[0]["keypoints"]
        count = len(numbers_of) // 3 if hasattr(numbers_of, "__len__") else 0
        return tuple(f"keypoint {index}" for index in range(count)), ()
    first, names = declared[0]
    for entry, others in declared[1:]:
        if others != names:
            raise DataError(
                f"the category {short(first.get('name'))} has the keypoints "
                f"{', '.join(names[:6])}, and {short(entry.get('name'))} has "
                f"{', '.join(others[:6])}",
                valid="the same keypoints in all categories",
                next_step="write a suite for each of these categories",
            )
    bones = []
    for pair in first.get("skeleton") or ():
        if len(pair) == 2 and all(1 <= int(end) <= len(names) for end in pair):
            bones.append((int(pair[0]) - 1, int(pair[1]) - 1))
    return tuple(names), tuple(bones)


def _triples(row: int, entry: Mapping[str, Any], count: int) -> list[float]:
    """The numbers of an annotation's keypoints, (3 * count,)."""
    value: Any = entry["keypoints"]
    value = value.reshape(-1).tolist() if hasattr(value, "reshape") else value
    if not isinstance(value, (list, tuple)) or len(value) != 3 * count:
        length = f"{len(value)} numbers" if hasattr(value, "__len__") else short(value)
        raise DataError(
            f"{place(row, entry)} has {length} as its keypoints, and there are {count} keypoints",
            valid=f"{3 * count} numbers: {_VALID}",
        )
    triples = []
    for index, number in enumerate(value):
        if (
            isinstance(number, bool)
            or not isinstance(number, numbers.Real)
            or not math.isfinite(number)
        ):
            raise DataError(
                f"{place(row, entry)} has keypoints[{index}] {short(number)}", valid=_VALID
            )
        if index % 3 == 2 and number not in range(_NOT_LABELLED, _VISIBLE + 1):
            raise DataError(
                f"{place(row, entry)} has keypoints[{index}], a visibility, {short(number)}",
                valid=_VALID,
            )
        triples.append(float(number))
    return triples


def _sigmas(names: Sequence[str], declared: Sequence[float]) -> tuple[float, ...]:
    if declared:
        if len(declared) != len(names):
            raise DataError(
                f"there are {len(declared)} sigmas and {len(names)} keypoints",
                valid="a number for each keypoint",
            )
        return tuple(float(sigma) for sigma in declared)
    unnamed = names[:1] == ("keypoint 0",)
    if tuple(names) == tuple(PERSON) or (unnamed and len(names) == len(PERSON)):
        return tuple(PERSON.values())
    raise DataError(
        f"the {len(names)} keypoints ({', '.join(names[:4])}, …) are not COCO's of a person, and "
        "have no known sigmas",
        valid="sigmas = [0.05, ...]: a number for each keypoint",
        next_step="set sigmas beside the annotations; without known ones 0.05 for each is usual",
    )


def _refuse_fractions(points: npt.NDArray[np.float64]) -> None:
    """Check that labelled points (P, 2) are no fractions of the picture."""
    if len(points) and points.max() <= 1.0 and points.min() >= 0.0 and len(points) > 1:
        raise DataError(
            f"all {len(points)} keypoints are within 0 and 1: they are fractions of the picture",
            valid="x and y in pixels",
            next_step="multiply them by the width and height of their images",
        )


def _notes(entries: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> list[str]:
    without = sum(entry.get("keypoints") is None for entry in entries)
    notes = []
    if without:
        notes.append(
            f"{without} of {len(entries)} objects have no list of keypoints: they count "
            "as objects without a labelled keypoint"
        )
    other = sum(
        entry.get("num_keypoints") is not None and entry["num_keypoints"] != count
        for entry, count in zip(entries, counts, strict=True)
    )
    if other:
        notes.append(
            f"{other} of {len(entries)} objects have another num_keypoints than labelled "
            "keypoints; the labelled ones are counted"
        )
    return notes
