"""Random objects with masks, and what a network might predict of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pytest_perfgate.tasks.instances.data import InstanceData, MaskPrediction, corners_of
from pytest_perfgate.tasks.masks.runs import Masks, encoded

SIDE = 120


def ellipse(middle: npt.NDArray[Any], radii: npt.NDArray[Any], side: int = SIDE) -> Any:
    """Bool (side, side)."""
    rows, columns = np.mgrid[:side, :side]
    inside: Any = ((columns - middle[0]) / radii[0]) ** 2 + ((rows - middle[1]) / radii[1]) ** 2 < 1
    return inside


def polygon(middle: npt.NDArray[Any], radii: npt.NDArray[Any]) -> list[float]:
    """The corners of a diamond-like outline, as COCO writes them."""
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    points = middle + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    flat: list[float] = np.round(points, 2).reshape(-1).tolist()
    return flat


def runs(pixels: npt.NDArray[Any]) -> list[int]:
    """The runs of a mask down its columns, as COCO writes crowds."""
    flat = pixels.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else list(lengths)


def predicted(
    masks: list[Any], scores: list[float], categories: list[int], side: int = SIDE
) -> MaskPrediction:
    """Masks bool (side, side), best first."""
    order = np.argsort(-np.array(scores), kind="stable").tolist()
    texts = tuple(encoded(masks[row], 0, 0, (side, side)) for row in order)
    coded = Masks((side, side), texts)
    return MaskPrediction(
        corners_of(coded),
        np.array([scores[row] for row in order], np.float32),
        np.array([categories[row] for row in order], np.int64),
        coded,
    )


def scene(
    seed: int,
    *,
    crowd: float = 0.0,
    ids: tuple[int, ...] = (1, 2, 3, 4, 5),
    levels: int = 0,
    large: bool = False,
) -> tuple[InstanceData, list[MaskPrediction]]:
    """Random objects, as polygons or as runs, and masks near them; `levels` makes equal scores."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    predictions = []
    for image in ids:
        masks, scores, categories = [], [], []
        for _ in range(random.integers(1, 6)):
            middle, radii = random.uniform(30, 90, 2), random.uniform(8, 55 if large else 25, 2)
            category = int(random.integers(3))
            crowded = bool(random.random() < crowd)
            pixels = ellipse(middle, radii)
            outline: Any = [polygon(middle, radii)]
            if crowded or random.random() < 0.3:
                outline = {"size": [SIDE, SIDE], "counts": runs(pixels)}
            annotations.append(
                {
                    "id": 1 + len(annotations),
                    "image_id": image,
                    "category_id": category + 1,
                    "segmentation": outline,
                    "iscrowd": int(crowded),
                }
            )
            for _ in range(random.integers(0, 4)):
                moved = middle + random.normal(0, 2, 2)
                masks.append(ellipse(moved, radii * np.exp(random.normal(0, 0.1, 2))))
                scores.append(random.integers(1, levels + 1) / 8 if levels else random.random())
                categories.append(category if random.random() < 0.8 else int(random.integers(3)))
        predictions.append(predicted(masks, scores, categories))
    coco = {
        "images": [{"id": image, "width": SIDE, "height": SIDE} for image in ids],
        "annotations": annotations,
        "categories": [{"id": row + 1, "name": f"kind {row}"} for row in range(3)],
    }
    pixels = [np.full((SIDE, SIDE, 3), row, np.uint8) for row in range(len(ids))]
    return InstanceData(pixels, coco), predictions
