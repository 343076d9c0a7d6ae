"""Finds the images that a recipe does worse than its reference, by the objects that it lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
import numpy.typing as npt

from pytest_perfgate.records.image_losses import SeenBox, WorseImage
from pytest_perfgate.tasks.pairing import CONFIDENT, Pairs, Side

NOTICEABLE = 0.1
"""An image that lost less than this in all is not called worse."""

_BOXES = 40  # of one side that are handed over, at most


@dataclass(frozen=True)
class Losses(Generic[Side]):
    """What makes an object of a task lost.

    Attributes:
        pairs: objects of one image with detections, one to one, as (object, detection).
        value: of an object (index) that a detection (index) is paired with; 0 without one.
        drawn: a detection or an object (index) as the page has it, of a category and with a score.
    """

    pairs: Pairs[Side]
    value: Callable[[Side, Side, int, int], float]
    drawn: Callable[[Side, int, str], SeenBox]

    def worse_images(
        self,
        objects: Sequence[Side],
        ours: Sequence[Side],
        other: Sequence[Side],
        names: Sequence[str],
        most: int,
    ) -> list[WorseImage]:
        """The images in which `ours` lost most beside `other`, its reference; worst first, at most
        `most`. An image's loss is the sum, over its objects, of what the value that the reference
        gives is higher by.

        `objects`, `ours` and `other` have one entry per image, in the same order; `names` are those
        of the categories.
        """
        lost = []
        for index, (there, left, right) in enumerate(zip(objects, ours, other, strict=True)):
            after, before = self._values(there, left), self._values(there, right)
            loss = float(np.clip(before - after, 0.0, None).sum())
            if loss >= NOTICEABLE:
                lost.append((loss, index))
        lost.sort(key=lambda image: (-image[0], image[1]))
        return [
            WorseImage(
                image=index,
                loss=round(loss, 4),
                reference=self._shown(objects[index], other[index], names),
                recipe=self._shown(objects[index], ours[index], names),
            )
            for loss, index in lost[:most]
        ]

    def objects(self, objects: Side, names: Sequence[str]) -> tuple[SeenBox, ...]:
        """The ground truth of one image, in its order."""
        return tuple(
            self.drawn(objects, index, names[category])
            for index, category in enumerate(objects.categories.tolist())
        )

    def _values(self, objects: Side, detections: Side) -> npt.NDArray[np.float64]:
        """Of every object: the value of its detection, 0 without one."""
        values = np.zeros(len(objects.scores), dtype=np.float64)
        for row, column in self.pairs(objects, detections):
            values[row] = self.value(objects, detections, row, column)
        return values

    def _shown(self, objects: Side, detections: Side, names: Sequence[str]) -> tuple[SeenBox, ...]:
        paired = {column: row for row, column in self.pairs(objects, detections)}
        order = np.argsort(-detections.scores, kind="stable").tolist()
        shown = [one for one in order if one in paired or detections.scores[one] >= CONFIDENT]
        boxes = []
        for index in shown[:_BOXES]:
            row = paired.get(index)
            score = float(detections.scores[index])
            if row is not None:
                score = self.value(objects, detections, row, index)
            box = self.drawn(detections, index, names[int(detections.categories[index])])
            boxes.append(box.model_copy(update={"score": round(score, 4), "object": row}))
        return tuple(boxes)


def rounded(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom to a tenth of a pixel."""
    left, top, right, bottom = (round(float(side), 1) for side in box)
    return left, top, right, bottom
