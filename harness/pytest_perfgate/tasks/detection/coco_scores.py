"""COCO scores of predictions: average precision, and the matches that it rests on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.calibration import ECE
from pytest_perfgate.tasks.calibration import CONFIDENCE
from pytest_perfgate.tasks.coco.evaluator import official_of
from pytest_perfgate.tasks.coco.matching import Cell, matches
from pytest_perfgate.tasks.score_metrics import absent_note
from pytest_perfgate.tasks.unscored import unscored

if TYPE_CHECKING:
    from pytest_perfgate.tasks.coco.instances import Instances
    from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

MOST = 100
"""Detections per image that count."""


def evaluate(data: DetectionData, predictions: Sequence[Prediction], prefix: str = "") -> Accuracy:
    """COCO's scores by faster-coco-eval, with the matches that they rest on; `prefix` begins the
    names of mean average precisions.

    Raises:
        DataError: the evaluator gave no valid score.
    """
    instances = data.instances
    if not data.annotated:
        return _without_objects(data, predictions, prefix)
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
    table = cells(data, images, predictions)
    values, per_category = _official(instances, images, predictions, table)
    for name, value in values.items():
        if not math.isfinite(value) or value < 0:
            raise DataError(f"the evaluator gave {value} for {name}, which is no score")
    return Accuracy(
        values={f"{prefix}{name}": value for name, value in values.items()},
        per_category=per_category,
        images=count,
        data_digest=data.digest,
        predictions_digest=_digest(predictions),
        matches=matches(table, count, names, order),
        notes=(*data.notes, *absent_note(f"{prefix}map", names, per_category)),
        unmeasured=dict.fromkeys(_AT_A_POINT, _NO_POINT),
    )


_NO_ANNOTATIONS = "the data has no annotations"
_AT_A_POINT = ("precision", "recall", "f1", *CONFIDENCE)
_NO_POINT = (
    "no operating point is declared; set operating_point = { score = 0.25, iou = 0.5 } in "
    "[suite.output]"
)


def _without_objects(
    data: DetectionData, predictions: Sequence[Prediction], prefix: str
) -> Accuracy:
    """Of images without annotations nothing is scored; recipes are compared by `agreement`."""
    if len(predictions) != len(data.images):
        raise DataError(f"there are {len(predictions)} predictions for {len(data.images)} images")
    sizes = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    names = (*(f"{prefix}{name}" for name in sizes), *_AT_A_POINT, *(() if prefix else (ECE,)))
    return unscored(data, _digest(predictions), _NO_ANNOTATIONS, names)


def _official(
    instances: Instances,
    images: npt.NDArray[np.int64],
    predictions: Sequence[Prediction],
    table: Mapping[tuple[int, int], Cell],
) -> tuple[dict[str, float], dict[str, float]]:
    """Scores by name, and average precision by category. `images` (K,) are the objects' ranks."""
    names = instances.categories
    rows = [
        {
            "image_id": image + 1,
            "category_id": category + 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": area,
            "score": score,
        }
        for image, prediction in enumerate(predictions)
        for (left, top, right, bottom), area, score, category in zip(
            prediction.boxes.tolist(),
            prediction.areas().tolist(),
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
    overlaps = {key: cell.overlaps for key, cell in table.items()}
    scores = official_of(_renumbered(instances, images), rows, overlaps)
    stats = scores.stats
    values = {"map": stats["AP_all"], "map50": stats["AP_50"], "map75": stats["AP_75"]}
    return values | {name: stats[f"AP_{name[4:]}"] for name in sizes}, scores.per_category


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
    """COCO instances whose ids count from 1, as the evaluator needs them."""
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


def cells(
    data: DetectionData, images: npt.NDArray[np.int64], predictions: Sequence[Prediction]
) -> dict[tuple[int, int], Cell]:
    """By (image, category) index: detections, best first, cut to what counts, and objects.
    `images` (K,) are the objects' rows in `predictions`.
    """
    instances = data.instances
    objects: dict[tuple[int, int], list[int]] = {}
    for index, key in enumerate(zip(images.tolist(), instances.category.tolist(), strict=True)):
        objects.setdefault(key, []).append(index)
    detections: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
    for row, prediction in enumerate(predictions):
        order = np.argsort(-prediction.scores, kind="stable")
        categories = prediction.categories[order]
        grouped = order[np.argsort(categories, kind="stable")]
        names, begins = np.unique(np.sort(categories), return_index=True)
        for name, part in zip(names.tolist(), np.split(grouped, begins[1:]), strict=False):
            detections[row, name] = part[:MOST]
    nothing = np.zeros(0, dtype=np.int64)
    result = {}
    for key in objects.keys() | detections.keys():
        ours, theirs = detections.get(key, nothing), np.array(objects.get(key, []), np.int64)
        prediction, crowd = predictions[key[0]], instances.crowd[theirs]
        result[key] = Cell(
            scores=prediction.scores[ours].astype(np.float32),
            overlaps=data.overlaps(prediction, ours, theirs),
            ignored=crowd,  # the evaluator overrides `ignore` by "is crowd"
            crowd=crowd,
        )
    return result


def _digest(predictions: Sequence[Prediction]) -> str:
    total = hashlib.sha256()
    for prediction in predictions:
        total.update(prediction.content())
    return total.hexdigest()
