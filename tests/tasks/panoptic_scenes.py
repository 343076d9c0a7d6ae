"""Small maps of segments, and what a network might predict of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pytest_perfgate.tasks.panoptic.data import Panoptic, PanopticData, Segment, panoptic

CLASSES = ("grass", "sky", "cow", "dog")
THINGS = (False, False, True, True)
SIDE = 48


def scene(
    seed: int, count: int = 6, *, crowd: float = 0.0, void: bool = True
) -> tuple[PanopticData, list[Panoptic]]:
    """Discs of cows and dogs on grass and sky, some pixels of nothing; and maps like them, in which
    segments moved, have another class, are missing or are more.
    """
    random = np.random.default_rng(seed)
    maps, listed, predictions = [], [], []
    for _ in range(count):
        horizon = int(random.integers(10, 30))
        true = np.full((SIDE, SIDE), 7, np.int64)
        true[:horizon] = 300
        segments = [Segment(7, 0), Segment(300, 1)]
        ours = np.full((SIDE, SIDE), 1, np.int64)
        ours[: max(1, horizon + int(random.integers(-6, 6)))] = 2
        kinds, rows = [0, 1], np.mgrid[:SIDE, :SIDE]
        for number in range(int(random.integers(1, 6))):
            middle, radius = random.integers(8, 40, 2), int(random.integers(4, 10))
            kind = int(random.integers(2, 4))
            inside = ((rows - middle[:, None, None]) ** 2).sum(axis=0) < radius**2
            if random.random() < 0.9:
                true[inside] = 70_000 + number
                segments.append(Segment(70_000 + number, kind, bool(random.random() < crowd)))
            if random.random() < 0.85:
                moved = middle + random.integers(-2, 3, 2)
                ours[((rows - moved[:, None, None]) ** 2).sum(axis=0) < radius**2] = len(kinds) + 1
                kinds.append(kind if random.random() < 0.85 else 5 - kind)
        if void:
            true[:, :5] = 0
            ours[-2:] = 0
        present = {*np.unique(true).tolist()}
        listed.append([segment for segment in segments if segment.id in present])
        maps.append(true)
        scores = random.uniform(0.5, 1, len(kinds)).astype(np.float32)
        predictions.append(panoptic(ours, np.array(kinds), scores))
    images = [np.full((SIDE, SIDE, 3), row, np.uint8) for row in range(count)]
    return PanopticData(images, maps, listed, CLASSES, THINGS), predictions


def perfect(data: PanopticData) -> list[Panoptic]:
    """Every segment as it is."""
    return [
        panoptic(
            data.numbers(index),
            np.array([segment.category for segment in data.segments[index]]),
            np.full(len(data.segments[index]), 0.9, np.float32),
        )
        for index in range(len(data.images))
    ]


def picture(ids: Any) -> Any:
    """Ids (H, W) as COCO's colours, uint8 (H, W, 3)."""
    return np.stack([ids % 256, ids // 256 % 256, ids // 65_536], axis=-1).astype(np.uint8)


def coco(data: PanopticData) -> dict[str, Any]:
    """COCO's panoptic JSON of the true maps."""
    return {
        "images": [
            {"id": row + 1, "file_name": f"{row}.png", "width": SIDE, "height": SIDE}
            for row in range(len(data.images))
        ],
        "annotations": [
            {
                "image_id": row + 1,
                "file_name": f"{row}.png",
                "segments_info": [
                    {
                        "id": segment.id,
                        "category_id": 10 * segment.category + 5,
                        "iscrowd": int(segment.crowd),
                        "area": int((data.maps[row] == segment.id).sum()),
                        "bbox": [0, 0, SIDE, SIDE],
                    }
                    for segment in data.segments[row]
                ],
            }
            for row in range(len(data.images))
        ],
        "categories": [
            {"id": 10 * row + 5, "name": name, "isthing": int(data.things[row])}
            for row, name in enumerate(data.classes)
        ],
    }
