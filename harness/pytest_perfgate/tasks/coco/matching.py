"""COCO's matching of detections with objects, whatever overlap is: of boxes, masks, keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_perfgate.records.accuracy import Matches, Packed

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class Cell:
    """Detections and objects of one category in one image.

    Attributes:
        scores: float32 (D,) of the detections, best first, cut to those that count.
        overlaps: float64 (D, O), of each detection with each object.
        ignored: bool (O,), objects that nobody has to find; a detection on one does not count.
        crowd: bool (O,), objects that any number of detections may lie on, ignored all of them.
    """

    scores: npt.NDArray[np.float32]
    overlaps: npt.NDArray[np.float64]
    ignored: npt.NDArray[np.bool_]
    crowd: npt.NDArray[np.bool_]


def matches(
    cells: Mapping[tuple[int, int], Cell], images: int, names: Sequence[str], order: Sequence[int]
) -> Matches:
    """COCO's greedy matching at every threshold, for objects of all sizes. `cells` are by (image,
    category) index, `names` those of the categories; `order` is the place among the data's images
    of each image index.
    """
    columns: list[tuple[int, int, float, int, int]] = []
    counts = np.zeros((images, len(names)), dtype=np.int32)
    for (row, category), cell in cells.items():
        counts[row, category] = int((~cell.ignored).sum())
    for row, category in sorted(cells, key=lambda key: (key[1], key[0])):
        cell = cells[row, category]
        hits, passed = greedy(cell.overlaps, cell.ignored, cell.crowd, THRESHOLDS)
        columns += [
            (row, category, float(score), hit, over)
            for score, hit, over in zip(cell.scores, hits, passed, strict=True)
        ]
    return Matches(
        thresholds=THRESHOLDS,
        categories=tuple(names),
        image=Packed.of(np.array([column[0] for column in columns], dtype=np.int32)),
        category=Packed.of(np.array([column[1] for column in columns], dtype=np.int16)),
        score=Packed.of(np.array([column[2] for column in columns], dtype=np.float32)),
        hits=Packed.of(np.array([column[3] for column in columns], dtype=np.uint16)),
        ignored=Packed.of(np.array([column[4] for column in columns], dtype=np.uint16)),
        truth=Packed.of(counts),
        order=None
        if list(order) == list(range(images))
        else Packed.of(np.array(order, dtype=np.int32)),
    )


def greedy(
    overlaps: npt.NDArray[np.float64],
    ignored: npt.NDArray[np.bool_],
    crowd: npt.NDArray[np.bool_],
    thresholds: Sequence[float],
) -> tuple[list[int], list[int]]:
    """Per detection, best first: the bits of the thresholds at which it is a hit, and of those at
    which it does not count. `overlaps` (D, O), `ignored` and `crowd` (O,) as in `Cell`.

    The rule is that of cocoeval's `evaluateImg`: each detection takes the best free object of at
    least the threshold's overlap, an ordinary one before an ignored one, the later one of equals.
    """
    order = np.argsort(ignored, kind="stable")
    # Single numbers of lists are read several times as fast as those of arrays.
    rows = overlaps[:, order].tolist()
    left_out, shared = ignored[order].tolist(), crowd[order].tolist()
    objects = range(len(left_out))
    hits = [0] * len(rows)
    passed = [0] * len(rows)
    # A detection that overlaps nothing enough matches nothing at any threshold.
    least = min(thresholds, default=0.0)
    near = [row for row, values in enumerate(rows) if values and max(values) >= least]
    for bit, threshold in enumerate(thresholds):
        free = [True] * len(left_out)
        for detection in near:
            values = rows[detection]
            best, at = min(threshold, 1 - 1e-10), -1
            for index in objects:
                if values[index] < best or not (free[index] or shared[index]):
                    continue
                if at > -1 and not left_out[at] and left_out[index]:
                    break
                best, at = values[index], index
            if at == -1:
                continue
            free[at] = False
            if left_out[at]:
                passed[detection] |= 1 << bit
            else:
                hits[detection] |= 1 << bit
    return hits, passed
