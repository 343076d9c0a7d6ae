"""Boxes as the outputs of networks have them: each layout written from its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pytest_perfgate.tasks.decoders.anchors import PriorOptions, RetinaFace, cells, prior_boxes

PICTURE = (64, 96)  # height and width; the network's input is half as large
NETWORK = (32, 48)


def f4(values: Any) -> Any:
    """Float32."""
    return np.array(values, np.float32)


def centred(boxes: Any) -> Any:
    """Corners (M, 4) as centre and size."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def in_rows(boxes: Any, scores: Any, classes: Any) -> list[Any]:
    """YOLOv7's rows of one image."""
    zeros = np.zeros_like(scores)
    return [np.column_stack([zeros, boxes, classes, scores])]


def in_grid(boxes: Any, scores: Any, classes: Any, *, faces: bool) -> list[Any]:
    """YOLOX's head, or YuNet's: each box in a cell of its own, of the stride 8."""
    grid = cells(NETWORK, (8, 16, 32))
    middle = centred(boxes)
    head = np.zeros((1, len(grid), 5 + 4), np.float32)
    for index, (x, y, width, height) in enumerate(middle):
        at = index  # any cell can give any box
        column, row, stride = grid[at]
        head[0, at, :4] = [
            x / stride - column,
            y / stride - row,
            np.log(width / stride),
            np.log(height / stride),
        ]
        head[0, at, 4] = 0.9
        head[0, at, 5 + classes[index]] = scores[index] / 0.9
    if not faces:
        return [head]
    ends = [24, 24 + 6, 24 + 6 + 2]
    parts = np.split(head, ends[:2], axis=1)
    squares = [part[..., 5:].max(axis=2, keepdims=True) ** 2 * 0.9 for part in parts]
    things = [np.where(part[..., 4:5] > 0, 0.9, 0) for part in parts]
    landmarks = [np.zeros((1, part.shape[1], 10), np.float32) for part in parts]
    return [*squares, *things, *(part[..., :4] for part in parts), *landmarks]


def in_distances(boxes: Any, scores: Any, classes: Any) -> list[Any]:
    """PicoDet's head: each box by the logits of its distances from the middle of a cell, whose
    means lie between two whole numbers.
    """
    grid = cells(NETWORK, (8, 16, 32, 64))
    chances, sides = np.zeros((1, len(grid), 4)), np.full((1, len(grid), 4, 8), -30.0)
    for index, (left, top, right, bottom) in enumerate(boxes):
        inside = [
            place
            for place, (column, row, stride) in enumerate(grid)
            if left <= (column + 0.5) * stride <= right and top <= (row + 0.5) * stride <= bottom
        ]
        column, row, stride = grid[inside[0]]
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        chances[0, inside[0], classes[index]] = scores[index]
        for side, distance in enumerate(np.array([x - left, y - top, right - x, bottom - y])):
            whole = int(distance / stride)
            share = distance / stride - whole
            for place, chance in ((whole, 1 - share), (whole + 1, share)):
                sides[0, inside[0], side, place] = np.log(max(chance, 1e-12))
    ends = np.cumsum([24, 6, 2])  # cells of 48 x 32 pixels
    flat = sides.reshape(1, len(grid), 32)
    return [f4(part) for both in (chances, flat) for part in np.split(both, ends, axis=1)]


def in_pixels(boxes: Any, scores: Any, _classes: Any) -> list[Any]:
    """MediaPipe's boxes with keypoints behind them, each from a cell of its own."""
    parts = [np.repeat(cells(NETWORK, (stride,)), count, 0) for stride, count in ((8, 2), (16, 6))]
    grid = np.concatenate(parts)
    raw, logits = np.zeros((1, len(grid), 16)), np.full((1, len(grid), 1), -20.0)
    for index, box in enumerate(centred(boxes)):
        at = 7 * index  # any cell can give any box
        raw[0, at, :2] = box[:2] - (grid[at, :2] + 0.5) * grid[at, 2]
        raw[0, at, 2:4] = box[2:]
        logits[0, at] = np.log(scores[index] / (1 - scores[index]))
    return [f4(logits), f4(raw)]


def in_priors(boxes: Any, scores: Any, classes: Any, options: PriorOptions) -> list[Any]:
    """Offsets from prior boxes and chances of 4 classes, or of 1, behind the background."""
    priors = prior_boxes(NETWORK, options)
    count = 1 if options.activation == "none" else 4
    offsets, chances = np.zeros((1, len(priors), 4)), np.full((1, len(priors), 1 + count), 1e-6)
    chances[..., 0] = 1
    for index, box in enumerate(centred(boxes)):
        prior = priors[index]
        offsets[0, index, :2] = (box[:2] - prior[:2]) / prior[2:] / 0.1
        offsets[0, index, 2:] = np.log(box[2:] / prior[2:]) / 0.2
        chances[0, index, 0] = 1 - scores[index]
        chances[0, index, 1 + (classes[index] if count > 1 else 0)] = scores[index]
    given = chances if options.activation == "none" else np.log(chances)
    return [f4(offsets), f4(given)]


SSD = {"strides": [8, 16], "sizes": [[9], [20]], "max_sizes": [[20], [30]], "ratios": [[2], [2]]}

ENCODED: dict[str, tuple[Callable[..., list[Any]], dict[str, Any]]] = {
    "nms_rows": (in_rows, {}),
    "paddle": (
        lambda boxes, scores, classes: [
            np.column_stack([classes, scores, boxes]),
            np.array([len(scores)]),
        ],
        {"units": "network"},
    ),
    "efficient_nms": (
        lambda boxes, scores, classes: [
            np.array([[len(scores)]]),
            boxes[None],
            scores[None],
            classes[None],
        ],
        {},
    ),
    "tflite_postprocess": (
        lambda boxes, scores, classes: [
            boxes[None][..., [1, 0, 3, 2]] / f4([32, 48, 32, 48]),
            f4(classes[None]),
            scores[None],
            f4([len(scores)]),
        ],
        {},
    ),
    "torchvision": (lambda boxes, scores, classes: [boxes, classes + 1, scores], {}),
    "rtdetr": (
        lambda boxes, scores, classes: [classes[None], boxes[None] * 2, scores[None]],
        {},
    ),
    "yolox": (lambda *objects: in_grid(*objects, faces=False), {}),
    "yunet": (lambda *objects: in_grid(*objects, faces=True), {}),
    "picodet": (in_distances, {}),
    "blaze": (in_pixels, {}),
    "ssd": (lambda *objects: in_priors(*objects, PriorOptions.model_validate(SSD)), SSD),
    "retinaface": (lambda *objects: in_priors(*objects, RetinaFace.Options()), {}),
}
