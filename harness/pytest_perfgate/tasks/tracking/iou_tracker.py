"""The tracker that is built in: detections go to the tracks that they overlap.

Each track moves on as it moved before. Detections of high scores are matched first, and those of
low scores with the tracks that are left, as in ByteTrack (Zhang et al. 2022, "ByteTrack:
Multi-Object Tracking by Associating Every Detection Box", ECCV); boxes are matched by their overlap
alone, as in SORT (Bewley et al. 2016, "Simple Online and Realtime Tracking", ICIP).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.tracking.iou_options import IouOptions

Boxes = npt.NDArray[np.float64]
Result = tuple[Any, Any, Any, Any]
"""Boxes (M, 4), scores (M,), categories (M,) and ids (M,)."""

_MOVES = 0.5  # weight of the newest move in a track's velocity
_SECOND_IOU = 0.5  # of detections of low scores: where they are is all that is known of them


@dataclass
class _Track:
    number: int
    category: int
    box: Boxes
    hits: int = 1
    missed: int = 0
    velocity: Boxes = field(default_factory=lambda: np.zeros(4))

    def follow(self, box: Boxes) -> None:
        """Goes on with a detection."""
        moved = (box - self.box) / (self.missed + 1)
        share = 1.0 if self.hits == 1 else _MOVES
        self.velocity = share * moved + (1 - share) * self.velocity
        self.box, self.missed, self.hits = box, 0, self.hits + 1

    @property
    def expected(self) -> Boxes:
        """Where it is in the next frame."""
        centre = self.velocity.reshape(2, 2).mean(axis=0)
        moved: Boxes = self.box + np.tile(centre, 2) * (self.missed + 1)
        return moved


class IouTracker:
    """Tracks of one sequence; its keywords are `IouOptions`."""

    def __init__(self, **options: Any) -> None:
        self._options = IouOptions.model_validate(options)
        self._tracks: list[_Track] = []
        self._next = 1

    def update(self, boxes: Any, scores: Any, categories: Any) -> Result:
        """The tracks of the next frame, of its detections: boxes (M, 4) corners in pixels, scores
        (M,) and categories (M,).
        """
        options = self._options
        corners = np.asarray(boxes, np.float64)
        high = np.flatnonzero(scores >= options.high_score)
        low = np.flatnonzero((scores >= options.low_score) & (scores < options.high_score))
        owners: dict[int, _Track] = {}
        free = self._match(self._tracks, high, corners, categories, options.min_iou, owners)
        fresh = [track for track in free if not track.missed]
        second = max(options.min_iou, _SECOND_IOU)
        free = [track for track in free if track.missed] + self._match(
            fresh, low, corners, categories, second, owners
        )
        for track in free:
            track.missed += 1
        self._tracks = [track for track in self._tracks if track.missed <= options.max_missed]
        for index in high:
            if int(index) not in owners and scores[index] >= options.new_score:
                track = _Track(self._next, int(categories[index]), corners[index])
                self._next += 1
                self._tracks.append(track)
                owners[int(index)] = track
        rows = [row for row in sorted(owners) if owners[row].hits >= options.min_hits]
        numbers = np.array([owners[row].number for row in rows], np.int64)
        return boxes[rows], scores[rows], categories[rows], numbers

    @staticmethod
    def _match(
        tracks: list[_Track],
        chosen: npt.NDArray[np.int64],
        boxes: Boxes,
        categories: Any,
        least: float,
        owners: dict[int, _Track],
    ) -> list[_Track]:
        """Gives some detections to tracks of their category, and notes it in `owners`; the tracks
        that get none.
        """
        from scipy.optimize import linear_sum_assignment

        if not tracks or not len(chosen):
            return list(tracks)
        near = overlap(np.stack([track.expected for track in tracks]), boxes[chosen])
        kinds = np.array([track.category for track in tracks])
        near[(near < least) | (kinds[:, None] != categories[chosen][None, :])] = 0
        rows, columns = linear_sum_assignment(near, maximize=True)
        used = set()
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if near[row, column] > 0:
                index = int(chosen[column])
                tracks[row].follow(boxes[index])
                owners[index] = tracks[row]
                used.add(row)
        return [track for row, track in enumerate(tracks) if row not in used]
