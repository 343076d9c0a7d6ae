"""Random objects with keypoints, and detections near them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pytest_perfgate.tasks.pose.data import PoseData, Poses, around

NAMES = ("head", "neck", "tail")
SIGMAS = (0.05, 0.08, 0.1)
SIDE = 240


def scene(
    seed: int, images: int = 6, categories: int = 1, keypoints: int = 3, levels: int = 0
) -> tuple[PoseData, list[Poses]]:
    """Objects of which some are crowds or have no labelled keypoint, of small to large areas, and
    detections with noise; `levels` makes equal scores.
    """
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    predictions = []
    ids = random.permutation(images) + 3
    for image in ids.tolist():
        points, scores, kinds = [], [], []
        for _ in range(random.integers(1, 6)):
            place, size = random.uniform(0, 100, 2), random.uniform(8, 130, 2)
            own = place + random.uniform(0.1, 0.9, (keypoints, 2)) * size
            visible = random.integers(0, 3, keypoints) * (random.random() < 0.85)
            kind = int(random.integers(categories))
            triples = np.where(visible[:, None] > 0, own, 0.0)
            annotations.append(
                {
                    "id": 10 + len(annotations),
                    "image_id": image,
                    "category_id": kind + 1,
                    "bbox": [*place.tolist(), *size.tolist()],
                    "area": float(size.prod() * random.uniform(0.4, 1)),
                    "iscrowd": int(random.random() < 0.1),
                    "keypoints": np.insert(triples, 2, visible, axis=1).reshape(-1).tolist(),
                    "num_keypoints": int((visible > 0).sum()),
                }
            )
            for _ in range(random.integers(0, 4)):
                spread = 0.12 * np.sqrt(size.prod()) * random.random()
                points.append(own + random.normal(0, spread, own.shape))
                scores.append(random.integers(1, levels + 1) / 8 if levels else random.random())
                kinds.append(kind if random.random() < 0.9 else int(random.integers(categories)))
        order = np.argsort(-np.array(scores), kind="stable").astype(int)
        placed = np.array(points, np.float32).reshape(-1, keypoints, 2)[order]
        predictions.append(
            Poses(
                np.insert(placed, 2, 1.0, axis=2),
                np.array(scores, np.float32)[order],
                np.array(kinds, np.int64)[order],
                around(placed),
            )
        )
    coco = {
        "images": [{"id": image, "width": SIDE, "height": SIDE} for image in ids.tolist()],
        "annotations": annotations,
        "categories": [
            {"id": row + 1, "name": f"kind {row}", "keypoints": list(NAMES[:keypoints])}
            for row in range(categories)
        ],
    }
    pixels = [np.full((SIDE, SIDE, 3), row, np.uint8) for row in range(images)]
    return PoseData(pixels, coco, SIGMAS[:keypoints]), predictions
