"""The trackers of a batch: one for each sequence, built in or of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pytest_perfgate import registry
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.tracking.data import Tracks
from pytest_perfgate.tasks.tracking.iou_tracker import IouTracker
from pytest_perfgate.tasks.tracking.output import IOU

_WHERE = "suite.output.tracker"
_VALID = (
    "update(boxes, scores, categories) that returns boxes (M, 4), scores (M,), categories (M,) and "
    "ids (M,), no two ids the same"
)


class Trackers:
    """A tracker for each sequence of a batch, made anew where sequences begin.

    Args:
        name: "iou", or the import path of a class. An object of it has the method `update`: boxes
            float32 (M, 4) corners in pixels, scores float32 (M,) and categories int64 (M,) of the
            next frame's detections to boxes, scores, categories and ids int64 of its tracks.
        options: keywords of the class.

    Raises:
        RecipeError: there is no such class.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name = name
        self._kind: Any = IouTracker if name == IOU else registry.resolve(name, _WHERE)
        self._options = dict(options)
        self._trackers: list[Any] = []
        self._frame = 0

    def begin(self, sequences: int) -> None:
        """So many new sequences.

        Raises:
            DataError: the class cannot be made, or has no `update`.
        """
        try:
            self._trackers = [self._kind(**self._options) for _ in range(sequences)]
        except TypeError as error:
            raise DataError(
                f"{self._name} cannot be made: {error}",
                where=_WHERE,
                next_step="set the keywords of its class in tracker_options",
            ) from error
        if not all(callable(getattr(one, "update", None)) for one in self._trackers):
            raise DataError(f"{self._name} has no method update", where=_WHERE, valid=_VALID)
        self._frame = 0

    def update(self, detections: Sequence[Prediction]) -> list[Tracks]:
        """The tracks of the next frame of each sequence.

        Raises:
            DataError: the project's tracker returned something else.
        """
        if len(self._trackers) != len(detections):
            self.begin(len(detections))
        frame, self._frame = self._frame, self._frame + 1
        return [
            self._tracks(tracker.update(one.boxes, one.scores, one.categories), frame)
            for tracker, one in zip(self._trackers, detections, strict=True)
        ]

    def _tracks(self, result: Any, frame: int) -> Tracks:
        if not isinstance(result, tuple) or len(result) != 4:
            raise DataError(
                f"{self._name}.update returned {type(result).__name__}", where=_WHERE, valid=_VALID
            )
        boxes, scores, categories, ids = (np.asarray(part) for part in result)
        shapes = [part.shape for part in (boxes, scores, categories, ids)]
        count = len(ids)
        if shapes != [(count, 4), (count,), (count,), (count,)] or ids.dtype.kind not in "iu":
            listed = ", ".join(map(str, shapes))
            raise DataError(
                f"{self._name}.update returned arrays of {listed}, ids of {ids.dtype.name}",
                where=_WHERE,
                valid=_VALID,
            )
        return Tracks(
            boxes.astype(np.float32),
            scores.astype(np.float32),
            categories.astype(np.int64),
            ids.astype(np.int64),
            frame,
        )
