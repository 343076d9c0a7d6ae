"""Tracks held to the truth: HOTA and its parts, MOTA, IDF1, and their uncertainty from sequences.

HOTA and its parts are no ratios of sums over sequences. Each is linearised about its value, as the
macro averages of classification are: a sequence's share is the value plus the sequence's influence
(the infinitesimal jackknife, Jaeckel 1972), weighed by its boxes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.tracking.matching import Counts, Floats, Frame, Ints, count

if TYPE_CHECKING:
    from pytest_perfgate.tasks.tracking.data import Objects, TrackingData, Tracks

_IGNORED = 0.5
"""Overlap with an ignored object from which on a box does not count, as in TrackEval."""

UNIT = "sequence"


def evaluate(data: TrackingData, predictions: Sequence[Tracks]) -> Accuracy:
    """The metrics of the tracks of every frame of `data`, in its order.

    Raises:
        DataError: a prediction is missing, of a class that the data lacks, or no number.
    """
    if len(predictions) != len(data.images):
        raise DataError(f"there are {len(predictions)} predictions for {len(data.images)} frames")
    highest = max((int(one.categories.max(initial=-1)) for one in predictions), default=-1)
    if data.annotated and highest >= len(data.classes):
        raise DataError(
            f"the model names a class {highest}, and the data has {len(data.classes)}",
            where="suite.output",
            valid=f"0 to {len(data.classes) - 1}, in the order of the data's classes: "
            f"{', '.join(data.classes[:6])}{', ...' if len(data.classes) > 6 else ''}",
            next_step="say which of the network's classes these are: [suite.output] options = "
            "{ classes = [...] }",
        )
    for index, tracks in enumerate(predictions):
        if not (np.isfinite(tracks.boxes).all() and np.isfinite(tracks.scores).all()):
            raise DataError(f"boxes or scores of frame {index} are not numbers (NaN)")
        if len(np.unique(tracks.ids)) != len(tracks.ids):
            raise DataError(
                f"frame {index} has two boxes of one track",
                where="suite.output.tracker",
                valid="an id of its own for each box of a frame",
            )
    digest = _digest(predictions)
    if not data.annotated:
        names = ("hota", "deta", "assa", "mota", "idf1", "id_switches")
        return Accuracy(
            values={},
            images=len(data.sequences),
            unit=UNIT,
            data_digest=data.digest,
            predictions_digest=digest,
            notes=(*data.notes, _NO_TRUTH),
            unmeasured=dict.fromkeys(names, _NO_TRUTH),
        )
    by_class = counts_of(data, predictions)
    rows = [sum(of_classes, Counts.none()) for of_classes in by_class]
    ratios = ratios_of(rows)
    return Accuracy(
        values={
            name: float(top.sum()) / float(bottom.sum()) for name, (top, bottom) in ratios.items()
        },
        per_category={
            name: hota_of(sum((row[label] for row in by_class), Counts.none()))
            for label, name in enumerate(data.classes)
            if any(row[label].lost + row[label].same for row in by_class)
        },
        images=len(data.sequences),
        unit=UNIT,
        data_digest=data.digest,
        predictions_digest=digest,
        ratios={
            name: Ratio(numerator=Packed.of(top), denominator=Packed.of(bottom))
            for name, (top, bottom) in ratios.items()
        },
        notes=data.notes,
    )


_NO_TRUTH = "the data has no tracks"


def counts_of(data: TrackingData, predictions: Sequence[Tracks]) -> list[list[Counts]]:
    """For each sequence the counts of each class."""
    rows, begin = [], 0
    for length in data.sequences:
        part = slice(begin, begin + length)
        pairs = list(zip(data.objects[part], predictions[part], strict=True))
        rows.append([_of_class(pairs, label) for label in range(len(data.classes))])
        begin += length
    return rows


def _of_class(pairs: Sequence[tuple[Objects, Tracks]], label: int) -> Counts:
    """The counts of one class of a sequence."""
    frames: list[tuple[Ints, Ints, Floats]] = []
    for objects, tracks in pairs:
        truth = objects.categories == label
        own = tracks.categories == label
        boxes = tracks.boxes[own].astype(np.float64)
        kept = without_ignored(objects, truth, boxes)
        near = overlap(objects.boxes[truth], boxes[kept])
        frames.append((objects.ids[truth], tracks.ids[own][kept], near))
    truths = numbered([frame[0] for frame in frames])
    numbers = numbered([frame[1] for frame in frames])
    return count(
        [
            Frame(truth, track, near)
            for truth, track, (_, _, near) in zip(truths, numbers, frames, strict=True)
        ]
    )


def without_ignored(objects: Objects, truth: npt.NDArray[np.bool_], boxes: Floats) -> Ints:
    """Which boxes (M, 4) count: those that the best one-to-one matching does not give to an object
    that is ignored. True objects of the class and ignored ones take part in it.
    """
    from scipy.optimize import linear_sum_assignment

    every = np.arange(len(boxes))
    if not objects.ignored.any() or not len(boxes):
        return every
    candidates = np.flatnonzero(truth | objects.ignored)
    near = overlap(objects.boxes[candidates], boxes)
    near[near < _IGNORED - np.finfo("float").eps] = 0
    rows, columns = linear_sum_assignment(near, maximize=True)
    taken = (near[rows, columns] > 0) & objects.ignored[candidates[rows]]
    return np.setdiff1d(every, columns[taken])


def numbered(ids: Sequence[Ints]) -> list[Ints]:
    """The ids of a sequence's frames as numbers from 0."""
    _, places = np.unique(np.concatenate(ids), return_inverse=True)
    cuts = np.cumsum([len(one) for one in ids])[:-1]
    return [part.astype(np.int64) for part in np.split(places.reshape(-1), cuts)]


def hota_of(counts: Counts) -> float:
    """HOTA of counts that were added up; 0 of none."""
    whole = np.maximum(1.0, counts.matched + counts.missed + counts.extra)
    return float(np.sqrt(counts.association / whole).mean())


def ratios_of(rows: Sequence[Counts]) -> dict[str, tuple[Floats, Floats]]:
    """Numerator and denominator per sequence (sequences,) of each metric, for its value and its
    uncertainty.
    """
    total = sum(rows, Counts.none())
    matched, association, whole = (
        np.stack([part(one) for one in rows]) for part in (_matched, _association, _whole)
    )
    all_matched, all_association, all_whole = (
        np.maximum(part(total), least)
        for part, least in ((_matched, 0.0), (_association, 0.0), (_whole, 1.0))
    )
    hota = np.sqrt(all_association / all_whole)
    # Their gradients: hota is the root of a quotient, deta and assa are quotients.
    half = np.divide(0.5 * hota, all_association, out=np.zeros_like(hota), where=hota > 0)
    influences = {
        "hota": (hota, half * association - 0.5 * hota / all_whole * whole),
        "deta": _quotient(all_matched, all_whole, matched, whole),
        "assa": _quotient(all_association, np.maximum(1.0, all_matched), association, matched),
    }
    weights = np.array([one.same + one.lost + one.same + one.other for one in rows], float)
    if not weights.sum():
        weights = np.ones(len(rows))
    ratios = {
        name: (
            float(value.mean()) * weights + weights.sum() * influence.mean(axis=1),
            weights,
        )
        for name, (value, influence) in influences.items()
    }
    same = np.array([one.same for one in rows], float)
    errors = np.array([0.5 * (one.lost + one.other) for one in rows])
    truths = np.array([one.clear_matched + one.clear_missed for one in rows], float)
    right = np.array([one.clear_matched - one.clear_extra - one.switches for one in rows], float)
    switches = np.array([one.switches for one in rows], float)
    return ratios | {
        "mota": (right, _some(truths)),
        "idf1": (same, _some(same + errors)),
        "id_switches": (switches, np.full(len(rows), 1.0 / len(rows))),
    }


def _some(below: Floats) -> Floats:
    """Denominators; where all are 0 they add up to 1, as in TrackEval."""
    return below if below.sum() else np.full(len(below), 1.0 / len(below))


def _quotient(top: Floats, bottom: Floats, tops: Floats, bottoms: Floats) -> tuple[Floats, Floats]:
    """A quotient (19,) of sums, and the influence of each sequence on it (sequences, 19)."""
    value = top / bottom
    return value, (tops - value * bottoms) / bottom


def _matched(counts: Counts) -> Floats:
    return counts.matched


def _association(counts: Counts) -> Floats:
    return counts.association


def _whole(counts: Counts) -> Floats:
    return counts.matched + counts.missed + counts.extra


def _digest(predictions: Sequence[Tracks]) -> str:
    digest = hashlib.sha256()
    for tracks in predictions:
        for part in (tracks.boxes, tracks.scores, tracks.categories, tracks.ids):
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(b"|")
    return digest.hexdigest()
