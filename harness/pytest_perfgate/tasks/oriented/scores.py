"""Average precision of oriented boxes as DOTA has it, and the matches that it rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed
from pytest_perfgate.tasks.coco.matching import THRESHOLDS
from pytest_perfgate.tasks.polygons import overlap
from pytest_perfgate.tasks.score_metrics import absent_note
from pytest_perfgate.tasks.unscored import unscored

if TYPE_CHECKING:
    from pytest_perfgate.tasks.oriented.data import Oriented, OrientedData

_NAMES = ("map50", "map75", "map")
_NO_ANNOTATIONS = "the data has no labels"


def evaluate(data: OrientedData, predictions: Sequence[Oriented]) -> Accuracy:
    """DOTA's scores, with the matches that they rest on.

    Raises:
        DataError: the predictions are not of this data, or there is nothing to find.
    """
    from pytest_perfgate.stats.average_precision import Ranked, Table

    if len(predictions) != len(data.images):
        raise DataError(f"there are {len(predictions)} predictions for {len(data.images)} images")
    if not data.annotated:
        return unscored(data, _digest(predictions), _NO_ANNOTATIONS, _NAMES)
    ignored = sum(int(hard.sum()) for hard in data.ignored)
    total = sum(len(one.scores) for one in data.objects)
    if ignored == total:
        raise DataError("there are no objects to find, so there is no score")
    highest = max((int(one.categories.max(initial=-1)) for one in predictions), default=-1)
    if highest >= len(data.classes):
        raise DataError(
            f"the model names a class {highest}, and the data has {len(data.classes)}",
            valid=f"0 to {len(data.classes) - 1}, in the order of the data's classes: "
            f"{', '.join(data.classes[:6])}{', ...' if len(data.classes) > 6 else ''}",
            next_step="say which of the network's classes these are: [suite.output] "
            "classes = [...]",
        )
    matches = _matches(data, predictions)
    table = Table(
        image=matches.image.array(),
        category=matches.category.array(),
        score=matches.score.array(),
        hits=matches.hits.array(),
        truth=matches.truth.array(),
        ignored=matches.ignored.array(),
        thresholds=len(THRESHOLDS),
        recalls="all",
    )
    once = np.ones((len(predictions), 1), dtype=np.int64)
    scores = Ranked(table, tuple(range(len(THRESHOLDS)))).score(once)[..., 0]
    present = ~np.isnan(scores[:, 0])
    notes = (f"{ignored} of {total} objects are difficult, and ignored",) if ignored else ()
    per_category = {
        str(data.classes[row]): float(scores[row, 0]) for row in np.flatnonzero(present).tolist()
    }
    return Accuracy(
        values={
            "map50": float(scores[present, 0].mean()),
            "map75": float(scores[present, 5].mean()),
            "map": float(scores[present].mean(axis=1).mean()),
        },
        per_category=per_category,
        images=len(predictions),
        data_digest=data.digest,
        predictions_digest=_digest(predictions),
        matches=matches,
        notes=(*data.notes, *notes, *absent_note("map", data.classes, per_category)),
    )


def _matches(data: OrientedData, predictions: Sequence[Oriented]) -> Matches:
    """Matching as in the PASCAL VOC development kit and DOTA's: each detection belongs to the
    object of its category that it overlaps most. By more than the threshold it is a hit, where no
    better detection is one of the same object; on a difficult object it does not count.
    """
    columns: list[tuple[int, int, float, int, int]] = []
    counts = np.zeros((len(predictions), len(data.classes)), dtype=np.int32)
    for row, (objects, hard, one) in enumerate(
        zip(data.objects, data.ignored, predictions, strict=True)
    ):
        np.add.at(counts[row], objects.categories[~hard], 1)
        overlaps = overlap(objects.corners, one.corners).T
        overlaps[one.categories[:, None] != objects.categories[None, :]] = 0.0
        taken = np.zeros(len(objects.scores), dtype=np.int64)  # bits of thresholds
        for index in np.argsort(-one.scores, kind="stable").tolist():
            hit, over = 0, 0
            if len(taken):
                best = int(overlaps[index].argmax())
                reached = _reached(float(overlaps[index, best]))
                if hard[best]:
                    over = reached
                else:
                    hit = reached & ~int(taken[best])
                    taken[best] |= reached
            columns.append((row, int(one.categories[index]), float(one.scores[index]), hit, over))
    return Matches(
        thresholds=THRESHOLDS,
        categories=tuple(map(str, data.classes)),
        image=Packed.of(np.array([column[0] for column in columns], dtype=np.int32)),
        category=Packed.of(np.array([column[1] for column in columns], dtype=np.int16)),
        score=Packed.of(np.array([column[2] for column in columns], dtype=np.float32)),
        hits=Packed.of(np.array([column[3] for column in columns], dtype=np.uint16)),
        ignored=Packed.of(np.array([column[4] for column in columns], dtype=np.uint16)),
        truth=Packed.of(counts),
        recalls="all",
    )


def _reached(iou: float) -> int:
    """The bits of the thresholds that an overlap is above."""
    return sum(1 << bit for bit, threshold in enumerate(THRESHOLDS) if iou > threshold)


def _digest(predictions: Sequence[Oriented]) -> str:
    total = hashlib.sha256()
    for one in predictions:
        total.update(len(one.scores).to_bytes(4, "little"))
        arrays: tuple[npt.NDArray[np.generic], ...] = (one.corners, one.scores, one.categories)
        for array in arrays:
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
