"""Clips: sequences of frames with a class each, and the scores that a network gives them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.classification.data import whole
from pytest_perfgate.tasks.image_files import SomeImages
from pytest_perfgate.tasks.sequences import FramesInOrder, check_lengths, few_note


@dataclass(frozen=True)
class ClipData(FramesInOrder):
    """Clips and the class of each; or clips alone, without labels and classes.

    Attributes:
        images: the frames of all clips, one clip after the other, uint8 (H, W, 3) RGB each.
        sequences: number of frames of each clip.
        labels: index into `classes` of each clip; none, where no clip has one.
        classes: their names, in the order of the network's outputs.

    Raises:
        DataError: they do not fit together; names the clip.
    """

    images: Sequence[Any]
    sequences: Sequence[int]
    labels: Sequence[int] = ()
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_lengths(self.sequences, len(self.images))
        if not self.classes and not len(self.labels):
            return
        if len(self.labels) != len(self.sequences):
            raise DataError(f"there are {len(self.sequences)} clips and {len(self.labels)} labels")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise DataError(
                f"the classes are {list(self.classes)}", valid="two or more, each with its own name"
            )
        for index, label in enumerate(self.labels):
            if whole(label) not in range(len(self.classes)):
                raise DataError(
                    f"clip {index} is of class {label}", valid=f"0 to {len(self.classes) - 1}"
                )

    def part(self, rows: Sequence[int]) -> ClipData | None:
        """The clips whose frames are `rows`; None: these are no whole clips."""
        numbers = self.whole_sequences(rows)
        if numbers is None:
            return None
        return replace(
            self,
            images=SomeImages(self.images, rows),
            sequences=[self.sequences[number] for number in numbers],
            labels=[self.labels[number] for number in numbers] if len(self.labels) else (),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or assumed of the clips, one sentence each."""
        return (*super().notes, *few_note(len(self.sequences)))

    @cached_property
    def digest(self) -> str:
        """One text for all frames, lengths and labels, equal only when all of them are."""
        known = [[int(label) for label in self.labels], list(self.classes), [*self.sequences]]
        return hashlib.sha256(("\n".join(self.digests) + json.dumps(known)).encode()).hexdigest()


@dataclass(frozen=True)
class ClipScores:
    """What a clip was called after one of its frames.

    Attributes:
        scores: in [0, 1] of all classes, (C,) float32, of the clip up to the frame.
        frame: number of the frame in its clip, from 0.
    """

    scores: Any
    frame: int
