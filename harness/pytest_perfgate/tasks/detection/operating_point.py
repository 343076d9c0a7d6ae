"""Scores of a detector where an application uses it: at one score, at one IoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.calibration import confidence_sums
from pytest_perfgate.tasks.coco.matching import greedy
from pytest_perfgate.tasks.detection.coco_scores import cells

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
    from pytest_perfgate.tasks.detection.output import OperatingPoint

Sums = npt.NDArray[np.float64]


def ratios_at(
    data: DetectionData, predictions: Sequence[Prediction], point: OperatingPoint
) -> dict[str, tuple[Sums, Sums]]:
    """Numerator and denominator per image (images,) of precision, recall, F1, and of scores.

    Detections below the score are left out. The others match objects of their category as COCO has
    it: by falling score, each the free object that it overlaps most. Detections on crowds do not
    count, and crowds are no objects to find. F1 is 2 * hits / (detections + objects). Without
    detections nothing is said of scores.
    """
    hits, counted, objects, scores = np.zeros((4, len(predictions)))
    for (row, _), cell in cells(data, data.instances.image, predictions).items():
        objects[row] += int((~cell.ignored).sum())
        kept = cell.scores >= np.float32(point.score)
        matched, passed = greedy(cell.overlaps[kept], cell.ignored, cell.crowd, (point.iou,))
        hits[row] += np.count_nonzero(matched)
        counted[row] += int(kept.sum()) - np.count_nonzero(passed)
        scores[row] += cell.scores[kept][np.array(passed, dtype=np.int64) == 0].sum(dtype=float)
    confidence = confidence_sums(scores, hits, counted) if counted.any() else {}
    return {
        "precision": (hits, counted),
        "recall": (hits, objects),
        "f1": (2 * hits, counted + objects),
        **confidence,
    }
