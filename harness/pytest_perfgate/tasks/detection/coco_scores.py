"""COCO scores of predictions: average precision, and the matches that it rests on."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed
from pytest_perfgate.tasks.boxes import areas, intersections

if TYPE_CHECKING:
    from pytest_perfgate.tasks.coco.instances import Instances
    from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
MOST = 100
"""Detections per image that count."""


def evaluate(data: DetectionData, predictions: Sequence[Prediction]) -> Accuracy:
    """COCO's scores by faster-coco-eval, with the matches that they rest on.

    Raises:
        DataError: the evaluator gave no valid score.
    """
    instances = data.instances
    if not data.annotated:
        return _without_objects(data, predictions)
    if instances.crowd.all():
        raise DataError("there are no objects to find, so there is no score")
    count = len(instances.files)
    if len(predictions) != count:
        raise DataError(f"there are {len(predictions)} predictions for {count} images")
    names = instances.categories
    highest = max((int(one.categories.max(initial=-1)) for one in predictions), default=-1)
    if highest >= len(names):
        raise DataError(
            f"the model names a category {highest}, and the data has {len(names)}",
            valid=f"0 to {len(names) - 1}, in the order of the annotations' categories: "
            f"{', '.join(names[:6])}{', ...' if len(names) > 6 else ''}",
            next_step="say which of the network's classes these are: [suite.output] options = "
            '{ classes = [...] }, or their names: "names.txt", "metadata"',
        )
    # Equal scores rank in the order of image ids, as the evaluator has them.
    order = list(instances.order)
    predictions = [predictions[row] for row in order]
    place = np.argsort(np.array(order))  # row of the data to rank
    images = place[instances.image]
    truth, detections = tables(instances, images, predictions)
    matches = _match(truth, detections, count, list(names))
    values, per_category = _official(instances, images, predictions)
    for name, value in values.items():
        if not math.isfinite(value) or value < 0:
            raise DataError(f"the evaluator gave {value} for {name}, which is no score")
    return Accuracy(
        values=values,
        per_category=per_category,
        images=count,
        data_digest=data.digest,
        predictions_digest=_digest(predictions),
        matches=matches,
        notes=data.notes,
        unmeasured=dict.fromkeys(_AT_A_POINT, _NO_POINT),
    )


_NO_ANNOTATIONS = "the data has no annotations"
_AT_A_POINT = ("precision", "recall", "f1")
_NO_POINT = (
    "no operating point is declared; set operating_point = { score = 0.25, iou = 0.5 } in "
    "[suite.output]"
)


def _without_objects(data: DetectionData, predictions: Sequence[Prediction]) -> Accuracy:
    """Of images without annotations nothing is scored; recipes are compared by `agreement`."""
    if len(predictions) != len(data.images):
        raise DataError(f"there are {len(predictions)} predictions for {len(data.images)} images")
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large", *_AT_A_POINT)
    return Accuracy(
        values={},
        images=len(predictions),
        data_digest=data.digest,
        predictions_digest=_digest(predictions),
        notes=(*data.notes, _NO_ANNOTATIONS),
        unmeasured=dict.fromkeys(names, _NO_ANNOTATIONS),
    )


def _official(
    instances: Instances, images: npt.NDArray[np.int64], predictions: Sequence[Prediction]
) -> tuple[dict[str, float], dict[str, float]]:
    """Scores by name, and average precision by category. `images` (K,) are the objects' ranks."""
    from faster_coco_eval import COCO, COCOeval_faster

    names = instances.categories
    rows = [
        {
            "image_id": image + 1,
            "category_id": category + 1,
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
        }
        for image, prediction in enumerate(predictions)
        for (left, top, right, bottom), score, category in zip(
            prediction.boxes.tolist(),
            prediction.scores.tolist(),
            prediction.categories.tolist(),
            strict=True,
        )
    ]
    sizes = _sizes(instances)
    if not rows:
        present = np.unique(instances.category[~instances.crowd]).tolist()
        nothing = {"map": 0.0, "map50": 0.0, "map75": 0.0}
        return nothing | dict.fromkeys(sizes, 0.0), {names[row]: 0.0 for row in present}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(_renumbered(instances, images))
        evaluator = COCOeval_faster(
            truth, truth.loadRes(rows), "bbox", print_function=lambda *_: None
        )
        evaluator.run()
    stats = evaluator.stats_as_dict
    precision = evaluator.eval["precision"]  # (T, R, K, areas, detections)
    per_category = {}
    for row, name in enumerate(names):
        valid = precision[:, :, row, 0, -1]
        valid = valid[valid > -1]
        if valid.size:
            per_category[name] = float(valid.mean())
    return (
        {
            "map": float(stats["AP_all"]),
            "map50": float(stats["AP_50"]),
            "map75": float(stats["AP_75"]),
            **{name: float(stats[f"AP_{name[4:]}"]) for name in sizes},
        },
        per_category,
    )


def _sizes(instances: Instances) -> list[str]:
    """The metrics of those of COCO's sizes that there is an object of."""
    areas = instances.areas[~instances.crowd]
    small, large = 32.0**2, 96.0**2
    present = {
        "map_small": (areas <= small).any(),
        "map_medium": ((small <= areas) & (areas <= large)).any(),
        "map_large": (areas >= large).any(),
    }
    return [name for name, there in present.items() if there]


def _renumbered(instances: Instances, images: npt.NDArray[np.int64]) -> dict[str, Any]:
    """COCO instances whose ids count from 1.

    The evaluator keeps ids as doubles, sorts categories by them, and takes 0 for "unmatched".
    """
    rows = zip(
        images.tolist(),
        instances.category.tolist(),
        instances.boxes.tolist(),
        instances.areas.tolist(),
        instances.crowd.tolist(),
        strict=True,
    )
    return {
        "images": [{"id": row + 1} for row in range(len(instances.files))],
        "categories": [
            {"id": row + 1, "name": name} for row, name in enumerate(instances.categories)
        ],
        "annotations": [
            {
                "id": index + 1,
                "image_id": image + 1,
                "category_id": category + 1,
                "bbox": box,
                "area": area,
                "iscrowd": int(crowd),
            }
            for index, (image, category, box, area, crowd) in enumerate(rows)
        ],
    }


_Rows = dict[tuple[int, int], tuple[npt.NDArray[Any], npt.NDArray[Any]]]


def tables(
    instances: Instances, images: npt.NDArray[np.int64], predictions: Sequence[Prediction]
) -> tuple[_Rows, _Rows]:
    """By (image, category) index: boxes (corners) with "is crowd" of objects, and boxes with
    scores of detections, best first, cut to what counts.
    """
    corners = instances.boxes.copy()
    corners[:, 2:] += corners[:, :2]
    objects: dict[tuple[int, int], list[int]] = {}
    for index, key in enumerate(zip(images.tolist(), instances.category.tolist(), strict=True)):
        objects.setdefault(key, []).append(index)
    # The evaluator overrides `ignore` by "is crowd".
    truth = {key: (corners[rows], instances.crowd[rows]) for key, rows in objects.items()}
    detections: _Rows = {}
    for row, prediction in enumerate(predictions):
        for category in np.unique(prediction.categories):
            ours = np.flatnonzero(prediction.categories == category)
            ours = ours[np.argsort(-prediction.scores[ours], kind="stable")][:MOST]
            boxes = prediction.boxes[ours].astype(np.float64)
            detections[row, int(category)] = (boxes, prediction.scores[ours].astype(np.float32))
    return truth, detections


def _match(truth: _Rows, detections: _Rows, images: int, names: list[str]) -> Matches:
    """COCO's greedy matching at every threshold, for objects of all sizes.

    The rule is that of cocoeval's `evaluateImg`: detections by falling score; each takes the best
    free object of at least the threshold's overlap, an ordinary one before an ignored one, the
    later one of equals; a detection on an ignored object does not count.
    """
    columns: list[tuple[int, int, float, int, int]] = []
    counts = np.zeros((images, len(names)), dtype=np.int32)
    for (row, category), (_, ignored) in truth.items():
        counts[row, category] = int((~ignored).sum())
    for row, category in sorted(detections, key=lambda key: (key[1], key[0])):
        boxes, scores = detections[row, category]
        objects, ignored = truth.get((row, category), (np.zeros((0, 4)), np.zeros(0, dtype=bool)))
        hits, passed = greedy(boxes, objects, ignored, THRESHOLDS)
        columns += [
            (row, category, float(score), hit, over)
            for score, hit, over in zip(scores, hits, passed, strict=True)
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
    )


def greedy(
    boxes: npt.NDArray[Any],
    objects: npt.NDArray[Any],
    ignored: npt.NDArray[Any],
    thresholds: Sequence[float],
) -> tuple[list[int], list[int]]:
    """Per detection, best first: the bits of the thresholds at which it is a hit, and of those at
    which it does not count.
    """
    order = np.argsort(ignored, kind="stable")
    objects, ignored = objects[order], ignored[order]
    overlaps = _coco_overlap(boxes, objects, ignored)
    hits = [0] * len(boxes)
    passed = [0] * len(boxes)
    for bit, threshold in enumerate(thresholds):
        free = np.ones(len(objects), dtype=bool)
        for detection in range(len(boxes)):
            best, at = min(threshold, 1 - 1e-10), -1
            for index in range(len(objects)):
                if not free[index] and not ignored[index]:
                    continue
                if at > -1 and not ignored[at] and ignored[index]:
                    break
                if overlaps[detection, index] < best:
                    continue
                best, at = overlaps[detection, index], index
            if at == -1:
                continue
            free[at] = False
            if ignored[at]:
                passed[detection] |= 1 << bit
            else:
                hits[detection] |= 1 << bit
    return hits, passed


def _coco_overlap(
    boxes: npt.NDArray[Any], objects: npt.NDArray[Any], crowd: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Intersection over union; over the detection's own area for a crowd."""
    if not len(objects) or not len(boxes):
        return np.zeros((len(boxes), len(objects)))
    inner = intersections(boxes, objects)
    ours, theirs = areas(boxes)[:, None], areas(objects)[None, :]
    union = np.where(crowd[None, :], ours, ours + theirs - inner)
    result: npt.NDArray[Any] = inner / np.maximum(union, 1e-12)
    return result


def _digest(predictions: Sequence[Prediction]) -> str:
    total = hashlib.sha256()
    for prediction in predictions:
        total.update(len(prediction.scores).to_bytes(4, "little"))
        for array in (prediction.boxes, prediction.scores, prediction.categories):
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
