"""Detections of tiles as those of their picture: what several tiles see is one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_perfgate.tasks.boxes import suppress
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.pixels.geometry import grouped

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.output import Output
    from pytest_perfgate.tasks.pixels.geometry import Placed


def merged(
    predictions: Sequence[Prediction], placed: Sequence[Placed], wanted: Output
) -> list[Prediction]:
    """One prediction for each picture from those of its tiles, all in pixels of the picture. A
    picture with one tile keeps its own as it is.
    """
    return [_merged(predictions[group], wanted) for group in grouped(placed)]


def _merged(tiles: Sequence[Prediction], wanted: Output) -> Prediction:
    if len(tiles) == 1:
        return tiles[0]
    boxes, scores, categories = (
        np.concatenate([getattr(tile, name) for tile in tiles])
        for name in ("boxes", "scores", "categories")
    )
    kept = suppress(
        boxes,
        scores,
        np.zeros_like(categories) if wanted.class_agnostic else categories,
        wanted.tile_match_threshold,
        wanted.max_detections,
        by_smaller=wanted.tile_match_metric == "ios",
    )
    return Prediction(boxes[kept], scores[kept], categories[kept])
