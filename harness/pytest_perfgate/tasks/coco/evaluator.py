"""COCO's evaluator (faster-coco-eval) on results of boxes, masks or keypoints."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Kind = Literal["bbox", "segm", "keypoints"]

_TOGETHER = 16
"""Categories that are evaluated together: the evaluator takes 1 kB for each pair of an image and a
category, 450 MB for 5,000 images and 80 categories."""


@dataclass(frozen=True)
class Official:
    """Scores of COCO's evaluator.

    Attributes:
        stats: by its own names: "AP_all", "AP_50", "AP_75", "AP_small" and so on.
        per_category: average precision of each category with objects.
    """

    stats: dict[str, float]
    per_category: dict[str, float]


def official(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    kind: Kind,
    sigmas: Sequence[float] = (),
) -> Official:
    """COCO's scores of `results`, one or more, for the instances `truth`, whose ids count from 1:
    the evaluator keeps ids as doubles, sorts categories by them, and takes 0 for "unmatched".
    `sigmas` (K,) are those of keypoints.
    """
    import numpy as np
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO(truth)
        evaluator = COCOeval_faster(
            objects, objects.loadRes(list(results)), kind, print_function=lambda *_: None
        )
        if sigmas:
            evaluator.params.kpt_oks_sigmas = np.array(sigmas, dtype=np.float64)
        evaluator.run()
    return _scores(evaluator, truth)


def official_of(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    overlaps: Mapping[tuple[int, int], npt.NDArray[np.float64]],
) -> Official:
    """COCO's scores of `results`, one or more, as of `official`, from overlaps that are known
    already: (D, O) by image and category index, of the results, best first and cut to those that
    count, with the objects. Objects and results have a box and an area; results are numbered in
    place.
    """
    for row, result in enumerate(results):
        result |= {"id": row + 1, "iscrowd": 0}
    whole: Any = None
    parts = []
    for objects, detected in _by_categories(truth, results):
        whole = _evaluated(objects, detected, overlaps)
        parts.append(whole.eval)
    # Categories are evaluated apart and averaged together, by the evaluator itself.
    whole.eval = {**whole.eval, **_joined(parts)}
    with contextlib.redirect_stdout(io.StringIO()):
        whole.summarize()
    return _scores(whole, truth)


def _by_categories(
    truth: dict[str, Any], results: Sequence[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Instances and results of some categories at a time."""
    sides: list[dict[int, list[dict[str, Any]]]] = [{}, {}]
    for side, entries in zip(sides, (truth["annotations"], results), strict=True):
        for entry in entries:
            side.setdefault(entry["category_id"], []).append(entry)
    for start in range(0, len(truth["categories"]), _TOGETHER):
        chosen = truth["categories"][start : start + _TOGETHER]
        objects, detected = (
            {
                **truth,
                "categories": chosen,
                "annotations": [one for entry in chosen for one in side.get(entry["id"], ())],
            }
            for side in sides
        )
        yield objects, detected


def _evaluated(
    objects: dict[str, Any],
    detected: dict[str, Any],
    overlaps: Mapping[tuple[int, int], npt.NDArray[np.float64]],
) -> Any:
    """An evaluator that has matched objects with what was detected."""
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):
        # Whatever overlaps, boxes or masks: matching and accumulation are the same.
        evaluator = COCOeval_faster(
            COCO(objects), COCO(detected), "bbox", print_function=lambda *_: None
        )
        evaluator.computeIoU = lambda image, category: overlaps[image - 1, category - 1]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Precision and recall of all categories: (T, R, K, areas, detections) and without R."""
    import numpy as np

    return {
        name: np.concatenate([part[name] for part in parts], axis=axis)
        for name, axis in (("precision", 2), ("recall", 1))
    }


def _scores(evaluator: Any, truth: dict[str, Any]) -> Official:
    stats = {name: float(value) for name, value in evaluator.stats_as_dict.items()}
    precision = evaluator.eval["precision"]  # (T, R, K, areas, detections)
    per_category = {}
    for row, entry in enumerate(truth["categories"]):
        valid = precision[:, :, row, 0, -1]
        valid = valid[valid > -1]
        if valid.size:
            per_category[str(entry["name"])] = float(valid.mean())
    return Official(stats, per_category)
