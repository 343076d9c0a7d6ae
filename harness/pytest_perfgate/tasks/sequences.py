"""Sequences of frames: their lengths, their files, and what is said of few of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_files import Digested, ImageFiles
from pytest_perfgate.tasks.image_folder import TYPES, is_hidden
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FEWEST = 8
"""Sequences below which an interval that rests on them is said to be a rough one."""

_NUMBER = re.compile(r"(\d+)(?!.*\d)", re.DOTALL)
_SHOWN = 4


def check_lengths(sequences: Sequence[int], images: int) -> None:
    """Check that sequences of these lengths make up so many images.

    Raises:
        DataError: they do not; names the sequence.
    """
    for number, length in enumerate(sequences):
        if length < 1:
            raise DataError(f"sequence {number} has {length} frames", valid="1 frame or more")
    if sum(sequences) != images:
        raise DataError(
            f"{count_of(len(sequences), 'sequence')} of {sum(sequences)} frames in all, and there "
            f"are {count_of(images, 'image')}",
            valid="one length for each sequence, whose frames follow each other in `images`",
        )


class FramesInOrder(Digested):
    """Images that are frames of sequences; all frames of a sequence have one size."""

    sequences: Sequence[int]
    names: Sequence[str] = ()

    def sequence_of(self, index: int) -> tuple[int, int]:
        """The number of the sequence that an image is of, and its number in it, from 0."""
        ends = list(accumulate(self.sequences))
        number = bisect_right(ends, index)
        return number, index - (ends[number - 1] if number else 0)

    @property
    def groups(self) -> tuple[int, ...]:
        """The sequence of each image: folds keep the frames of one together."""
        numbers = enumerate(self.sequences)
        return tuple(number for number, length in numbers for _ in range(length))

    def whole_sequences(self, rows: Sequence[int]) -> list[int] | None:
        """The sequences whose frames, all of them and in their order, are the images of `rows`;
        None: these are no whole sequences.
        """
        ends, numbers, at = list(accumulate(self.sequences)), [], 0
        while at < len(rows):
            number, _ = self.sequence_of(rows[at])
            length = self.sequences[number]
            if [*rows[at : at + length]] != [*range(ends[number] - length, ends[number])]:
                return None
            numbers.append(number)
            at += length
        return numbers

    @override
    def _copies(self) -> tuple[str, ...]:
        """Nothing: a sequence is one observation, and its frames may be alike."""
        _ = self.digests
        return ()

    def place(self, index: int) -> str:
        """An image in words: "frame 3 of sequence MOT17-02"."""
        number, frame = self.sequence_of(index)
        return f"frame {frame} of sequence {self.names[number] if self.names else number}"

    @override
    def _check(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        _, frame = self.sequence_of(index)
        sizes: dict[str, tuple[int, ...]] = self.__dict__.setdefault("_size", {})
        if not frame:
            sizes["first"] = image.shape[:2]
        height, width = sizes["first"]
        if image.shape[:2] != (height, width):
            raise DataError(
                f"{self.place(index)} has {image.shape[1]} x {image.shape[0]} pixels, and the "
                f"first frame {width} x {height}",
                where=str(self.images.file(index)) if isinstance(self.images, ImageFiles) else "",
                valid="frames of one size in each sequence",
                next_step="resize the frames with their boxes, or make two sequences of them",
            )


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a sequence in the order of the numbers in their names.

    Raises:
        DataError: there is none, one has no number, or numbers are missing or there twice; names
            the folder and the numbers.
    """
    files = [
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in TYPES and not is_hidden(entry.name)
    ]
    if not files:
        raise DataError("there are no frames", where=str(folder), valid=", ".join(TYPES))
    numbers: dict[int, Path] = {}
    for file in sorted(files):
        digits = _NUMBER.search(file.stem)
        if digits is None:
            raise DataError(
                f"the name {file.name!r} has no number",
                where=str(folder),
                valid="the number of the frame in each name, such as 000001.jpg",
            )
        number = int(digits[1])
        if number in numbers:
            raise DataError(
                f"{numbers[number].name} and {file.name} are both frame {number}",
                where=str(folder),
            )
        numbers[number] = file
    refuse_gap(list(numbers), str(folder))
    return [numbers[number] for number in sorted(numbers)]


def refuse_gap(numbers: Sequence[int], where: str) -> None:
    """Check that numbers of frames follow each other.

    Raises:
        DataError: some are missing; names them.
    """
    first, last = min(numbers), max(numbers)
    missing = sorted({*range(first, last + 1)} - set(numbers)) if last - first < 10**7 else [first]
    if last - first + 1 != len(numbers) and missing:
        shown = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        raise DataError(
            f"the sequence has a gap: of frames {first} to {last} {len(missing)} are missing "
            f"({shown})",
            where=where,
            valid="frames that follow each other: a state or a tracker goes from one to the next",
            next_step="restore the frames, or make two sequences of it",
        )


def few_note(count: int) -> list[str]:
    """What to say of intervals that rest on few sequences."""
    if count >= FEWEST:
        return []
    return [
        f"intervals rest on {count_of(count, 'sequence')}: with fewer than {FEWEST} they are "
        "rough, whatever the number of frames"
    ]
