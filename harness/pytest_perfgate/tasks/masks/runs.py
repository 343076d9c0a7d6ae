"""Masks as COCO's run-length encoding: a text of some hundred bytes for a mask of any size.

Runs go down the columns, from the left; the first is of pixels that are not of the object. COCO's
text has five bits of a number in each character, and from the third number on the difference to the
last but one (`maskApi.c`). A mask is its text here; the size is kept beside it, once for an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Masks:
    """Masks of objects in one image.

    Attributes:
        size: height and width of the image.
        texts: COCO's compressed run-length encoding of each mask.
    """

    size: Size
    texts: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def of(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Masks:
        """Some of the masks, in the order of `rows`."""
        return Masks(self.size, tuple(self.texts[row] for row in rows))

    def tables(self) -> list[dict[str, Any]]:
        """COCO's table of each mask, as evaluators take it."""
        size = list(self.size)
        return [{"size": size, "counts": text} for text in self.texts]

    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels of each mask, (M,)."""
        from faster_coco_eval.core import mask

        areas = mask.area(self.tables()) if self.texts else []
        return np.asarray(areas, dtype=np.int64)

    def boxes(self) -> npt.NDArray[np.float64]:
        """The smallest box around each mask, (M, 4): left, top, width, height."""
        from faster_coco_eval.core import mask

        boxes = mask.toBbox(self.tables()) if self.texts else []
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)

    def overlaps(
        self, others: Masks, crowd: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float64]:
        """Intersection over union of each mask with each of the others, (M, K); over the mask's own
        area for a `crowd` (K,) among the others.
        """
        from faster_coco_eval.core import mask

        if not self.texts or not others.texts:
            return np.zeros((len(self), len(others)))
        marks = [0] * len(others) if crowd is None else crowd.astype(int).tolist()
        return np.asarray(mask.iou(self.tables(), others.tables(), marks), dtype=np.float64)

    def pixels(self, row: int) -> npt.NDArray[np.bool_]:
        """One mask, bool (H, W)."""
        height, width = self.size
        lengths = lengths_of(self.texts[row])
        inside = np.arange(len(lengths)) % 2 == 1
        return np.repeat(inside, lengths).reshape(width, height).T


def text_of(lengths: Sequence[int] | npt.NDArray[np.int64], size: Size) -> bytes:
    """COCO's text of runs (R,) that are as long as an image of that size has pixels."""
    from faster_coco_eval.core import mask

    table = {"size": list(size), "counts": np.asarray(lengths).tolist()}
    text: bytes = mask.frPyObjects(table, *size)["counts"]
    return text


def lengths_of(text: bytes) -> npt.NDArray[np.int64]:
    """The runs of COCO's text, int64 (R,).

    Raises:
        ValueError: the text is none: it ends within a number, or has other characters.
    """
    values = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    if len(values) and (values.min() < 0 or values.max() > 63 or values[-1] & 32):
        raise ValueError("no run-length encoding")
    ends = np.flatnonzero(values & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
    place = np.arange(len(values)) - np.repeat(starts, ends - starts + 1)
    if len(place) and place.max() > 11:
        raise ValueError("a number of more than 60 bits")
    numbers = np.add.reduceat((values & 31) << (5 * place), starts) if len(starts) else values
    # The last group of a negative number has its highest bit set.
    negative = values[ends] & 16 > 0
    numbers[negative] -= 1 << (5 * (place[ends][negative] + 1))
    lengths = numbers.copy()
    lengths[1::2] = np.cumsum(numbers[1::2])
    lengths[2::2] = np.cumsum(numbers[2::2])
    return lengths


def encoded(pixels: npt.NDArray[np.bool_], top: int, left: int, size: Size) -> bytes:
    """COCO's text of a mask that has `pixels` (h, w) at a place in an image of that size, and
    nothing elsewhere.
    """
    height, width = size
    rows, columns = pixels.shape
    marks = np.zeros((columns, rows + 1), dtype=bool)  # a clear pixel ends each column
    marks[:, :rows] = pixels.T
    flat = marks.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size and flat[0]:
        edges = np.concatenate([[0], edges])
    column, row = np.divmod(edges, rows + 1)
    places = (left + column) * height + top + row
    # A run to the foot of a column and one from the head of the next are one run.
    touching = np.flatnonzero(places[1:] == places[:-1])
    places = np.delete(places, np.concatenate([touching, touching + 1]))
    lengths = np.diff(np.concatenate([[0], places, [height * width]]))
    if len(places) and places[-1] == height * width:
        lengths = lengths[:-1]
    return text_of(lengths, size)
