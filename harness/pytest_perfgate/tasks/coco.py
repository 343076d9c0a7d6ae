"""COCO data and COCO scores: annotations checked, folders read, predictions evaluated."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed
from pytest_perfgate.tasks.detection_data import Prediction, check
from pytest_perfgate.tasks.image_files import ImageFiles, inside

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
MOST = 100
"""Detections per image that count."""


def read_folder(
    source: Mapping[str, Any], folder: Path, root: Path
) -> tuple[Sequence[Any], dict[str, Any]]:
    """A declared data set: `{ images = "folder", annotations = "instances.json" }`.

    Raises:
        DataError: names the file or key, and what is wrong with it.
    """
    unknown = source.keys() - {"images", "annotations"}
    if unknown or len(source) != 2:
        raise DataError(f"the data set has the keys {sorted(source)}", valid="images, annotations")
    annotations = inside(folder, str(source["annotations"]), root)
    pictures = inside(folder, str(source["images"]), root)
    try:
        coco = json.loads(annotations.read_text())
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}", where=str(annotations)
        ) from error
    except ValueError as error:
        raise DataError(f"the file is not JSON: {error}", where=str(annotations)) from error
    if not isinstance(coco, dict) or not isinstance(coco.get("images"), list):
        raise DataError("the file holds no COCO instances", where=str(annotations))
    files = []
    for entry in coco["images"]:
        file = inside(pictures, str(entry.get("file_name")), pictures)
        if not file.is_file():
            raise DataError(
                f"the image {entry.get('file_name')!r} (id {entry.get('id')!r}) is not there",
                where=str(pictures),
            )
        files.append(file)
    try:
        check(coco, len(files))
    except DataError as error:
        raise error.at(str(annotations)) from None
    return ImageFiles(files), coco


def evaluate(data: DetectionData, predictions: Sequence[Prediction]) -> Accuracy:
    """COCO's scores by faster-coco-eval, with the matches that they rest on.

    Raises:
        DataError: the evaluator gave no valid score.
    """
    coco = data.coco
    ids = [entry["id"] for entry in coco["images"]]
    categories = [entry["id"] for entry in coco["categories"]]
    if all(entry.get("iscrowd") for entry in coco["annotations"]):
        raise DataError("there are no objects to find, so there is no score")
    if len(predictions) != len(ids):
        raise DataError(f"there are {len(predictions)} predictions for {len(ids)} images")
    highest = max((int(each.categories.max(initial=-1)) for each in predictions), default=-1)
    if highest >= len(categories):
        raise DataError(
            f"the model names a category {highest}, and the data has {len(categories)}",
            valid=f"0 to {len(categories) - 1}, in the order of the annotations' categories",
        )
    # Equal scores rank in the order of image ids, as the evaluator has them.
    order = sorted(range(len(ids)), key=ids.__getitem__)
    ids, predictions = [ids[row] for row in order], [predictions[row] for row in order]
    truth, found = _tables(coco, predictions, ids, categories)
    matches = _match(truth, found, len(ids), [str(entry["name"]) for entry in coco["categories"]])
    values, per_category = _official(coco, predictions, ids, categories)
    for name, value in values.items():
        if not math.isfinite(value) or value < 0:
            raise DataError(f"the evaluator gave {value} for {name}, which is no score")
    return Accuracy(
        values=values,
        per_category=per_category,
        images=len(ids),
        data_digest=data.digest,
        predictions_digest=_digest(predictions),
        matches=matches,
    )


def _official(
    coco: dict[str, Any], predictions: Sequence[Prediction], ids: list[Any], categories: list[Any]
) -> tuple[dict[str, float], dict[str, float]]:
    from faster_coco_eval import COCO, COCOeval_faster

    rows = []
    for image, prediction in zip(ids, predictions, strict=True):
        wide = prediction.boxes[:, 2:] - prediction.boxes[:, :2]
        for box, size, score, category in zip(
            prediction.boxes.tolist(),
            wide.tolist(),
            prediction.scores.tolist(),
            prediction.categories.tolist(),
            strict=True,
        ):
            rows.append(
                {
                    "image_id": image,
                    "category_id": categories[category],
                    "bbox": [box[0], box[1], size[0], size[1]],
                    "score": score,
                }
            )
    if not rows:
        found = {entry["category_id"] for entry in coco["annotations"] if not entry.get("iscrowd")}
        names = {entry["id"]: str(entry["name"]) for entry in coco["categories"]}
        nothing = {"map": 0.0, "map50": 0.0, "map75": 0.0}
        return nothing | dict.fromkeys(_sizes(coco), 0.0), {names[each]: 0.0 for each in found}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(_complete(coco))
        evaluator = COCOeval_faster(
            truth, truth.loadRes(rows), "bbox", print_function=lambda *_: None
        )
        evaluator.run()
    stats = evaluator.stats_as_dict
    precision = evaluator.eval["precision"]  # (T, R, K, areas, detections)
    per_category = {}
    for row, entry in enumerate(coco["categories"]):
        valid = precision[:, :, row, 0, -1]
        valid = valid[valid > -1]
        if valid.size:
            per_category[str(entry["name"])] = float(valid.mean())
    return (
        {
            "map": float(stats["AP_all"]),
            "map50": float(stats["AP_50"]),
            "map75": float(stats["AP_75"]),
            **{name: float(stats[f"AP_{name[4:]}"]) for name in _sizes(coco)},
        },
        per_category,
    )


def _sizes(coco: Mapping[str, Any]) -> list[str]:
    """The metrics of those of COCO's sizes that there is an object of."""
    areas = [
        float(entry.get("area", entry["bbox"][2] * entry["bbox"][3]))
        for entry in coco["annotations"]
        if not entry.get("iscrowd")
    ]
    small, large = 32.0**2, 96.0**2
    found = {
        "map_small": any(area <= small for area in areas),
        "map_medium": any(small <= area <= large for area in areas),
        "map_large": any(area >= large for area in areas),
    }
    return [name for name, there in found.items() if there]


def _complete(coco: dict[str, Any]) -> dict[str, Any]:
    """The instances with what COCO's own files always have and users leave out."""
    annotations = [
        # Ids of its own: the evaluator takes 0 for "unmatched", and needs them to differ.
        {"iscrowd": 0, "area": entry["bbox"][2] * entry["bbox"][3], **entry, "id": index + 1}
        for index, entry in enumerate(coco["annotations"])
    ]
    return {**coco, "annotations": annotations}


_Rows = dict[tuple[int, int], tuple[npt.NDArray[Any], npt.NDArray[Any]]]


def _tables(
    coco: dict[str, Any], predictions: Sequence[Prediction], ids: list[Any], categories: list[Any]
) -> tuple[_Rows, _Rows]:
    """By (image, category) index: boxes (corners) with "is crowd" of objects, and boxes with
    scores of detections, best first, cut to what counts.
    """
    image_row = {image: row for row, image in enumerate(ids)}
    category_row = {category: row for row, category in enumerate(categories)}
    objects: dict[tuple[int, int], list[tuple[list[float], bool]]] = {}
    for entry in coco["annotations"]:
        key = (image_row[entry["image_id"]], category_row[entry["category_id"]])
        x, y, width, height = entry["bbox"]
        crowd = bool(entry.get("iscrowd", 0))  # the evaluator overrides `ignore` by it
        objects.setdefault(key, []).append(([x, y, x + width, y + height], crowd))
    truth = {
        key: (np.array([box for box, _ in rows]), np.array([crowd for _, crowd in rows]))
        for key, rows in objects.items()
    }
    found: _Rows = {}
    for row, prediction in enumerate(predictions):
        for category in np.unique(prediction.categories):
            mine = np.flatnonzero(prediction.categories == category)
            mine = mine[np.argsort(-prediction.scores[mine], kind="stable")][:MOST]
            boxes = prediction.boxes[mine].astype(np.float64)
            found[row, int(category)] = (boxes, prediction.scores[mine].astype(np.float32))
    return truth, found


def _match(truth: _Rows, found: _Rows, images: int, names: list[str]) -> Matches:
    """COCO's greedy matching at every threshold, for objects of all sizes.

    The rule is that of cocoeval's `evaluateImg`: detections by falling score; each takes the best
    free object of at least the threshold's overlap, an ordinary one before an ignored one, the
    later one of equals; a detection on an ignored object does not count.
    """
    columns: list[tuple[int, int, float, int, int]] = []
    counts = np.zeros((images, len(names)), dtype=np.int32)
    for (row, category), (_, ignored) in truth.items():
        counts[row, category] = int((~ignored).sum())
    for row, category in sorted(found, key=lambda key: (key[1], key[0])):
        boxes, scores = found[row, category]
        objects, ignored = truth.get((row, category), (np.zeros((0, 4)), np.zeros(0, dtype=bool)))
        hits, passed = _greedy(boxes, objects, ignored)
        columns += [
            (row, category, float(score), hit, over)
            for score, hit, over in zip(scores, hits, passed, strict=True)
        ]
    return Matches(
        thresholds=THRESHOLDS,
        categories=tuple(names),
        image=Packed.of(np.array([each[0] for each in columns], dtype=np.int32)),
        category=Packed.of(np.array([each[1] for each in columns], dtype=np.int16)),
        score=Packed.of(np.array([each[2] for each in columns], dtype=np.float32)),
        hits=Packed.of(np.array([each[3] for each in columns], dtype=np.uint16)),
        ignored=Packed.of(np.array([each[4] for each in columns], dtype=np.uint16)),
        truth=Packed.of(counts),
    )


def _greedy(
    boxes: npt.NDArray[Any], objects: npt.NDArray[Any], ignored: npt.NDArray[Any]
) -> tuple[list[int], list[int]]:
    """Per detection: the bits of the thresholds at which it is a hit, and of those at which it
    does not count.
    """
    order = np.argsort(ignored, kind="stable")
    objects, ignored = objects[order], ignored[order]
    overlaps = _coco_overlap(boxes, objects, ignored)
    hits = [0] * len(boxes)
    passed = [0] * len(boxes)
    for bit, threshold in enumerate(THRESHOLDS):
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
    left_top = np.maximum(boxes[:, None, :2], objects[None, :, :2])
    right_bottom = np.minimum(boxes[:, None, 2:], objects[None, :, 2:])
    inner = np.clip(right_bottom - left_top, 0, None).prod(axis=2)
    mine = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    theirs = (objects[:, 2:] - objects[:, :2]).prod(axis=1)[None, :]
    union = np.where(crowd[None, :], mine, mine + theirs - inner)
    result: npt.NDArray[Any] = inner / np.maximum(union, 1e-12)
    return result


def _digest(predictions: Sequence[Prediction]) -> str:
    total = hashlib.sha256()
    for prediction in predictions:
        total.update(len(prediction.scores).to_bytes(4, "little"))
        for array in (prediction.boxes, prediction.scores, prediction.categories):
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
