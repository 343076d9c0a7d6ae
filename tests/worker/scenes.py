"""Pictures of several shapes with coloured squares, and networks that see them in one way only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from pytest_perfgate.tasks.detection import Detection, Input, Output
from pytest_perfgate.tasks.detection.data import DetectionData

SHAPES = ((120, 200), (200, 120), (160, 160), (100, 220))
COLOURS = ((230, 20, 20), (20, 20, 230))
SIDE = 160


def scenes(count: int, seed: int = 0) -> DetectionData:
    """Grey pictures with two to four squares, red ones of category 0 and blue ones of 1."""
    random = np.random.default_rng(seed)
    images, annotations = [], []
    for index in range(count):
        height, width = SHAPES[index % len(SHAPES)]
        picture = np.full((height, width, 3), 60, np.uint8)
        places = [(x, y) for y in range(4, height - 40, 44) for x in range(4, width - 40, 44)]
        for place in random.permutation(len(places))[: random.integers(2, 5)]:
            x, y = (int(side + random.integers(0, 8)) for side in places[place])
            side, category = int(random.integers(20, 32)), int(random.integers(0, 2))
            picture[y : y + side, x : x + side] = COLOURS[category]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": category + 1,
                    "bbox": [x, y, side, side],
                }
            )
        images.append(picture)
    entries = [{"id": index + 1} for index in range(count)]
    names = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    return DetectionData(
        images, {"images": entries, "annotations": annotations, "categories": names}
    )


def squares_in(image: Any, *, upright: bool) -> tuple[Any, Any, Any]:
    """Of a picture (3, H, W) from 0 to 1, RGB: boxes (M, 4), categories and scores (M,). A score
    falls with the shape of a box where the network has learned upright squares alone.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(image.max(axis=0) - image.min(axis=0) > 0.4)
    boxes, categories, scores = [], [], []
    for rows, columns in ndimage.find_objects(labels):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        boxes.append([columns.start, rows.start, columns.stop, rows.stop])
        colour = image[:, (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2]
        categories.append(int(colour[2] > colour[0]))
        thin = max(height, width) / min(height, width) - 1
        scores.append(0.9 if thin < 0.15 or not upright else 0.02)
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(categories, np.int64),
        np.array(scores, np.float32),
    )


class RtDetr:
    """Boxes are fractions of the input times the size that it is given, width first."""

    def run(self, inputs: Any) -> tuple[Any, ...]:
        """Labels, boxes and scores (1, M)."""
        image = inputs.images[0]
        boxes, labels, scores = squares_in(image, upright=False)
        sizes = np.asarray(inputs.others["orig_target_sizes"])[0].astype(np.float32)
        scale = np.concatenate([sizes, sizes]) / np.float32([*image.shape[:0:-1]] * 2)
        return labels[None], (boxes * scale)[None], scores[None]


class Yolo:
    """Knows upright squares on grey padding alone: (1, 4 + 2, A), as Ultralytics exports."""

    def run(self, inputs: Any) -> tuple[Any, ...]:
        """The rows of the squares."""
        image = inputs.images[0]
        boxes, labels, scores = squares_in(image, upright=True)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        chances = np.zeros((len(boxes), 2), np.float32)
        chances[np.arange(len(boxes)), labels] = scores
        return (np.concatenate([middle, boxes[:, 2:] - boxes[:, :2], chances], 1).T[None],)


def suite_of(validation: Any, pixels: Input, output: Output, task: Any = None) -> Any:
    """What a worker knows of a suite: its data and its pipeline."""
    task = task or Detection()
    return SimpleNamespace(
        task=task,
        pipeline=task.pipeline(pixels, output),
        input=pixels,
        output=output,
        split=lambda _: validation,
        images=lambda _, rows: [np.array(validation.images[row]) for row in rows],
    )
