"""Tracking: sequences with objects that keep their number, and what a tracker says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_files import SomeImages
from pytest_perfgate.tasks.sequences import FramesInOrder, check_lengths, few_note

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

OTHER = -1
"""The category of an object that is neither counted nor ignored: it is there to be matched."""


@dataclass(frozen=True)
class Objects:
    """The objects of one frame.

    Attributes:
        boxes: float64 (K, 4), left, top, right and bottom in pixels.
        ids: int64 (K,), the same for an object in all frames of its sequence, no two in a frame.
        categories: int64 (K,), indices into the data's classes, or `OTHER`.
        ignored: bool (K,), whether boxes on the object count neither as right nor as wrong.
    """

    boxes: npt.NDArray[np.float64]
    ids: npt.NDArray[np.int64]
    categories: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, boxes: Any, ids: Any, categories: Any = 0, ignored: Any = False) -> Objects:
        """Objects of lists or arrays; one category, and one `ignored`, may stand for all.

        Raises:
            DataError: the arrays are not of as many objects, or a box has no area.
        """
        import numpy as np

        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        count = len(corners)
        rows = cls(
            corners,
            np.asarray(ids, np.int64).reshape(-1),
            np.broadcast_to(np.asarray(categories, np.int64), count),
            np.broadcast_to(np.asarray(ignored, bool), count),
        )
        if len(rows.ids) != count:
            raise DataError(f"there are {count} boxes and {len(rows.ids)} ids")
        if not np.isfinite(corners).all() or (corners[:, 2:] <= corners[:, :2]).any():
            raise DataError(
                "a box has no area, or is no number", valid="[left, top, right, bottom] in pixels"
            )
        if len(np.unique(rows.ids)) != count:
            raise DataError("two objects of a frame have one id", valid="an id of its own for each")
        return rows


@dataclass(frozen=True)
class Tracks:
    """What a tracker says of one frame.

    Attributes:
        boxes: float32 (M, 4) corners in pixels of the frame.
        scores: float32 (M,).
        categories: int64 (M,), indices into the data's classes.
        ids: int64 (M,), the same for a track in all frames of its sequence, no two in a frame.
        frame: number of the frame in its sequence, from 0.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    frame: int = 0


@dataclass(frozen=True)
class TrackingData(FramesInOrder):
    """Sequences and the objects in their frames.

    Attributes:
        images: the frames of all sequences, one sequence after the other, uint8 (H, W, 3) RGB each.
        sequences: number of frames of each sequence.
        objects: those of each frame; none, where nothing is known of them.
        classes: names of the categories.
        names: of the sequences; none: their numbers.
        left_out: what was left out or assumed of the objects, one sentence each.

    Raises:
        DataError: they do not fit together; names the sequence and the frame.
    """

    images: Sequence[Any]
    sequences: Sequence[int]
    objects: Sequence[Objects] = ()
    classes: Sequence[str] = ("object",)
    names: Sequence[str] = ()
    left_out: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_lengths(self.sequences, len(self.images))
        if self.names and len(self.names) != len(self.sequences):
            raise DataError(
                f"there are {len(self.sequences)} sequences and {len(self.names)} names"
            )
        if not self.annotated:
            return
        if len(self.objects) != len(self.images):
            raise DataError(
                f"there are {len(self.images)} frames, and objects of {len(self.objects)}"
            )
        for index, objects in enumerate(self.objects):
            wrong = (objects.categories < OTHER) | (objects.categories >= len(self.classes))
            if wrong.any():
                raise DataError(
                    f"{self.place(index)} has an object of category "
                    f"{int(objects.categories[wrong][0])}",
                    valid=f"0 to {len(self.classes) - 1}",
                )

    @property
    def annotated(self) -> bool:
        """Whether the objects in the frames are known."""
        return len(self.objects) > 0

    def part(self, rows: Sequence[int]) -> TrackingData | None:
        """The sequences whose frames are `rows`; None: these are no whole sequences."""
        numbers = self.whole_sequences(rows)
        if numbers is None:
            return None
        return replace(
            self,
            images=SomeImages(self.images, rows),
            sequences=[self.sequences[number] for number in numbers],
            objects=[self.objects[row] for row in rows] if self.annotated else (),
            names=[self.names[number] for number in numbers] if self.names else (),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or assumed of frames and objects, one sentence each."""
        return (*self.left_out, *super().notes, *few_note(len(self.sequences)))

    @cached_property
    def digest(self) -> str:
        """One text for all frames and objects, equal only when all of them are."""
        digest = hashlib.sha256("\n".join(self.digests).encode())
        digest.update(json.dumps([[*self.sequences], [*self.classes]]).encode())
        for objects in self.objects:
            for part in (objects.boxes, objects.ids, objects.categories, objects.ignored):
                digest.update(part.tobytes())
            digest.update(b"|")
        return digest.hexdigest()
