"""Average precision by keypoints, as COCO has it, and the matches that it rests on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.tasks.coco.evaluator import official
from pytest_perfgate.tasks.coco.matching import Cell, matches
from pytest_perfgate.tasks.pose.similarity import objects_of, similarity
from pytest_perfgate.tasks.score_metrics import absent_note
from pytest_perfgate.tasks.unscored import unscored

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pose.data import PoseData, Poses

MOST = 20
"""Detections per image that count."""

_NAMES = {
    "oks_map": "AP_all",
    "oks_map50": "AP_50",
    "oks_map75": "AP_75",
    "oks_map_medium": "AP_medium",
    "oks_map_large": "AP_large",
}
_AREAS = {"oks_map_medium": (32.0**2, 96.0**2), "oks_map_large": (96.0**2, math.inf)}
_NO_ANNOTATIONS = "the data has no annotations"


def evaluate(data: PoseData, predictions: Sequence[Poses]) -> Accuracy:
    """COCO's scores by faster-coco-eval, with the matches that they rest on.

    Raises:
        DataError: the predictions are not of this data, or the evaluator gave no valid score.
    """
    if len(predictions) != len(data.images):
        raise DataError(f"there are {len(predictions)} predictions for {len(data.images)} images")
    if not data.annotated:
        return unscored(data, _digest(predictions), _NO_ANNOTATIONS, _NAMES)
    ignored = ignored_objects(data)
    if ignored.all():
        raise DataError("there are no objects with keypoints to find, so there is no score")
    _refuse_others(data, predictions)
    # Equal scores rank in the order of image ids, as the evaluator has them.
    order = list(data.instances.order)
    ranked = [predictions[row] for row in order]
    images = np.argsort(np.array(order))[data.instances.image]
    values, per_category = _official(data, images, ranked, ignored)
    for name, value in values.items():
        if not math.isfinite(value) or value < 0:
            raise DataError(f"the evaluator gave {value} for {name}, which is no score")
    return Accuracy(
        values=values,
        per_category=per_category,
        images=len(predictions),
        data_digest=data.digest,
        predictions_digest=_digest(predictions),
        matches=matches(
            _cells(data, images, ranked, ignored), len(ranked), data.instances.categories, order
        ),
        notes=(
            *data.notes,
            *_left_out(ignored),
            *_unlabelled(data, ignored),
            *absent_note("oks_map", data.instances.categories, per_category),
        ),
    )


def ignored_objects(data: PoseData) -> npt.NDArray[np.bool_]:
    """The objects that nobody has to find, bool (O,): crowds, and those without a labelled
    keypoint.
    """
    result: npt.NDArray[np.bool_] = data.instances.crowd | ~data.keypoints.labelled.any(axis=1)
    return result


def _left_out(ignored: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    if not ignored.any():
        return ()
    return (
        f"{int(ignored.sum())} of {len(ignored)} objects are ignored: they are crowds, or have no "
        "labelled keypoint",
    )


def _unlabelled(data: PoseData, ignored: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Says which keypoints no object has a label of: a network may lose them unseen."""
    seen = np.flatnonzero(data.keypoints.labelled[~ignored].any(axis=0)).tolist()
    absent = [name for index, name in enumerate(data.keypoints.names) if index not in seen]
    if not absent:
        return ()
    return (f"nothing is known of keypoints that no object has a label of: {', '.join(absent)}",)


def _refuse_others(data: PoseData, predictions: Sequence[Poses]) -> None:
    """Check that the predictions have the data's keypoints and categories."""
    names, keypoints = data.instances.categories, data.keypoints.names
    for one in predictions:
        given = one.points.shape[1]
        if len(one.scores) and given != len(keypoints):
            raise DataError(
                f"the model gives {given} keypoints, and the data has "
                f"{len(keypoints)}: {', '.join(keypoints[:6])}{', …' * (len(keypoints) > 6)}",
                next_step="say which of the network's keypoints these are, such as: [suite.output] "
                f"keypoints = {list(range(len(keypoints)))}"
                if given > len(keypoints)
                else "leave the keypoints that it does not give out of the data",
            )
        highest = int(one.categories.max(initial=-1))
        if highest >= len(names):
            raise DataError(
                f"the model names a category {highest}, and the data has {len(names)}",
                valid=f"0 to {len(names) - 1}, in the order of the annotations' categories: "
                f"{', '.join(names[:6])}{', ...' if len(names) > 6 else ''}",
                next_step="set class_count in [suite.output] to the network's number of classes",
            )


def _cells(
    data: PoseData,
    images: npt.NDArray[np.int64],
    predictions: Sequence[Poses],
    ignored: npt.NDArray[np.bool_],
) -> dict[tuple[int, int], Cell]:
    """By (image, category) index: the best detections and the objects."""
    instances = data.instances
    objects: dict[tuple[int, int], list[int]] = {}
    for index, key in enumerate(zip(images.tolist(), instances.category.tolist(), strict=True)):
        objects.setdefault(key, []).append(index)
    detections: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
    for row, prediction in enumerate(predictions):
        for category in np.unique(prediction.categories).tolist():
            ours = np.flatnonzero(prediction.categories == category)
            best = np.argsort(-prediction.scores[ours], kind="stable")[:MOST]
            detections[row, category] = ours[best]
    nothing = np.zeros(0, dtype=np.int64)
    cells = {}
    for key in objects.keys() | detections.keys():
        ours = detections.get(key, nothing)
        theirs = np.array(objects.get(key, nothing), dtype=np.int64)
        image = predictions[key[0]]
        cells[key] = Cell(
            scores=image.scores[ours],
            overlaps=similarity(
                image.points[ours], objects_of(data, theirs), data.keypoints.sigmas
            ),
            ignored=ignored[theirs],
            crowd=instances.crowd[theirs],
        )
    return cells


def _official(
    data: PoseData,
    images: npt.NDArray[np.int64],
    predictions: Sequence[Poses],
    ignored: npt.NDArray[np.bool_],
) -> tuple[dict[str, float], dict[str, float]]:
    """Scores by name, and average precision by category. `images` (O,) are the objects' ranks."""
    instances = data.instances
    names = [name for name in _NAMES if name not in _AREAS]
    names += [
        name
        for name, (low, high) in _AREAS.items()
        if ((instances.areas >= low) & (instances.areas <= high) & ~ignored).any()
    ]
    results = [
        {
            "image_id": image + 1,
            "category_id": category + 1,
            "keypoints": np.insert(points[:, :2], 2, 1.0, axis=1).reshape(-1).tolist(),
            "score": score,
        }
        for image, one in enumerate(predictions)
        for points, score, category in zip(
            one.points.astype(np.float64), one.scores.tolist(), one.categories.tolist(), strict=True
        )
    ]
    if not results:
        present = np.unique(instances.category[~ignored]).tolist()
        return dict.fromkeys(names, 0.0), {instances.categories[row]: 0.0 for row in present}
    scores = official(_truth(data, images), results, "keypoints", data.keypoints.sigmas)
    return {name: scores.stats[_NAMES[name]] for name in names}, scores.per_category


def _truth(data: PoseData, images: npt.NDArray[np.int64]) -> dict[str, Any]:
    """COCO's instances with keypoints, as the evaluator needs them: ids count from 1."""
    instances, keypoints = data.instances, data.keypoints
    visible = np.where(keypoints.labelled, 2.0, 0.0)
    triples = np.concatenate([keypoints.points, visible[..., None]], axis=2)
    return {
        "images": [{"id": row + 1} for row in range(len(instances.files))],
        "categories": [
            {"id": row + 1, "name": name} for row, name in enumerate(instances.categories)
        ],
        "annotations": [
            {
                "id": index + 1,
                "image_id": int(images[index]) + 1,
                "category_id": int(instances.category[index]) + 1,
                "bbox": instances.boxes[index].tolist(),
                "area": float(instances.areas[index]),
                "iscrowd": int(instances.crowd[index]),
                "keypoints": triples[index].reshape(-1).tolist(),
                "num_keypoints": int(keypoints.labelled[index].sum()),
            }
            for index in range(len(images))
        ],
    }


def _digest(predictions: Sequence[Poses]) -> str:
    total = hashlib.sha256()
    for one in predictions:
        total.update(len(one.scores).to_bytes(4, "little"))
        for array in (one.points, one.scores, one.categories):
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
