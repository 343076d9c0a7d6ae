"""An oriented detector's output: centres, sizes, scores and angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.class_names import ClassOptions
from pytest_perfgate.tasks.oriented.data import Oriented
from pytest_perfgate.tasks.output_options import OutputOptions, TileMatching

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pixels.geometry import Placed

_WHERE = "suite.output"


class Output(OutputOptions, ClassOptions, TileMatching):
    """How the network's first output becomes oriented boxes: `[suite.output]`."""

    format: Literal["ultralytics", "ultralytics_nms"] = Field(
        "ultralytics",
        description="the network's first output. ultralytics: (N, 4 + C + 1, A), centre, width and "
        "height, a score for each class, then the angle; ultralytics_nms: (N, M, 7), centre, "
        "width, height, score, class, angle",
    )
    angle: Literal["radians", "degrees"] = Field(
        "radians",
        description="unit of the angle from the picture's x axis to the box's width, "
        "towards the y axis",
    )
    score_threshold: float = Field(0.05, ge=0, le=1, description="lowest score of a detection")
    iou_threshold: float = Field(
        0.6,
        gt=0,
        le=1,
        description="ultralytics: IoU with a better box from which on a box is suppressed",
    )
    max_detections: int = Field(
        300, ge=1, description="largest number of detections per image, best first"
    )


class Reading:
    """Reads outputs as `[suite.output]` declares them."""

    def __init__(self, options: Output) -> None:
        self._options = options

    def read(self, outputs: tuple[Any, ...], places: Sequence[Placed]) -> list[Oriented]:
        """The network's outputs to one prediction per image, in pixels of the original image.

        Raises:
            DataError: the outputs are not of the declared format.
        """
        output, listed = outputs[0], self._options.format == "ultralytics_nms"
        if output.ndim != 3 or (output.shape[2] != 7 if listed else output.shape[1] < 6):
            raise DataError(
                f"the output has the shape {tuple(output.shape)}",
                where=_WHERE,
                valid="(N, M, 7)" if listed else "(N, 4 + C + 1, A)",
                next_step="compare format with the network's output",
            )
        read = self._rows if listed else self._anchors
        return [self._mapped(*read(one), place) for one, place in zip(output, places, strict=True)]

    def _anchors(self, image: Any) -> tuple[Any, Any, Any]:
        """Corners, scores and categories from (4 + C + 1, A), suppressed."""
        from pytest_perfgate.tasks.decoders import refuse_other_scores
        from pytest_perfgate.tasks.polygons import suppress

        scores = image[4:-1].T
        order = self._options.network_classes(scores.shape[1])
        if order is not None:
            scores = scores[:, order]
        refuse_other_scores(scores)
        categories, best = scores.argmax(axis=1), scores.max(axis=1)
        rows = (best >= self._options.score_threshold).nonzero()[0]
        corners = self._corners(image[:4, rows].T, image[-1, rows])
        options = self._options
        kept = suppress(
            corners, best[rows], categories[rows], options.iou_threshold, options.max_detections
        )
        return corners[kept], best[rows][kept], categories[rows][kept]

    def _rows(self, image: Any) -> tuple[Any, Any, Any]:
        """Corners, scores and categories from (M, 7)."""
        import numpy as np

        from pytest_perfgate.tasks.decoders import refuse_other_scores

        refuse_other_scores(image[:, 4])
        order = np.argsort(-image[:, 4], kind="stable")
        used = image[order[(image[order, 4] >= self._options.score_threshold)]]
        used = used[used[:, 4] > 0]
        categories = used[:, 5].astype(np.int64)
        if self._options.indices:
            place = {label: index for index, label in enumerate(self._options.indices)}
            categories = np.array([place.get(int(one), -1) for one in categories], dtype=np.int64)
        known = np.flatnonzero(categories >= 0)[: self._options.max_detections]
        used = used[known]
        return self._corners(used[:, :4], used[:, 6]), used[:, 4], categories[known]

    def _corners(self, boxes: Any, angles: Any) -> Any:
        """Corners (M, 4, 2) of boxes (M, 4) and angles (M,)."""
        import numpy as np

        from pytest_perfgate.tasks.polygons import rotated

        if self._options.angle == "degrees":
            angles = np.deg2rad(angles)
        elif len(angles) and np.abs(angles).max() > 2 * math.pi:
            raise DataError(
                f"an angle is {angles[np.abs(angles).argmax()]:.3g}",
                where=f"{_WHERE}.angle",
                valid="radians, from -2 pi to 2 pi",
                next_step='set angle = "degrees", or compare format with the network\'s output',
            )
        return rotated(np.concatenate([boxes, angles[:, None]], axis=1))

    def _mapped(self, corners: Any, scores: Any, categories: Any, place: Placed) -> Oriented:
        import numpy as np

        mapped = (corners - np.array(place.offset)) / np.array(place.scale)
        size = np.linalg.norm(mapped - np.roll(mapped, -1, axis=1), axis=2).min(axis=1, initial=1e9)
        whole = size > 0  # a box without a side is none
        return Oriented(
            mapped[whole].astype(np.float32),
            scores[whole].astype(np.float32),
            categories[whole].astype(np.int64),
        )


def merged(
    predictions: Sequence[Oriented], places: Sequence[Placed], options: Output
) -> list[Oriented]:
    """One prediction for each picture from those of its tiles, all in pixels of the picture. A
    picture with one tile keeps its own as it is.
    """
    from pytest_perfgate.tasks.pixels.geometry import grouped

    return [_merged(predictions[group], options) for group in grouped(places)]


def _merged(tiles: Sequence[Oriented], options: Output) -> Oriented:
    import numpy as np

    from pytest_perfgate.tasks.polygons import suppress

    if len(tiles) == 1:
        return tiles[0]
    corners, scores, categories = (
        np.concatenate([getattr(tile, name) for tile in tiles])
        for name in ("corners", "scores", "categories")
    )
    kept = suppress(
        corners,
        scores,
        categories,
        options.tile_match_threshold,
        options.max_detections,
        by_smaller=options.tile_match_metric == "ios",
    )
    return Oriented(corners[kept], scores[kept], categories[kept])
