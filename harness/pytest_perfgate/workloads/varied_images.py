"""Which image a turn shows, and in which variation: an answer that was kept must not fit.

A variation flips the lowest bit of some rows of pixels. That changes an output by next to nothing,
and no two turns of a launch share a variation, so that a runtime that keeps answers by their
inputs has to work. Rounds of a visit show, by their numbers:

- the first one, what the untimed turn before it showed: an input just seen;
- the second, a variation of the next one's image;
- the third, a validation image as it is: its output was evaluated;
- the fourth, a variation of another image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROUNDS = 4
"""Rounds of a visit, after the turn that is not timed."""

REPEATED, VARIED, EVALUATED = 0, 1, 2
"""Numbers of turns, modulo `ROUNDS`, of an input just seen, of a variation, and of its image."""

_APART = (1, 0, 0, 2)
"""Of the image of each round of a visit, in thirds of all images."""

WARM_UP = 1 << 15
"""Number of the first turn of a warm-up: timed turns have lower numbers, and other variations."""

_PATCHES = 16  # of rows, each flipped or not: 65,536 variations
_SHARE = 128  # of an image's rows are in a patch: few pages of memory become this arm's own


class VariedImages:
    """Images that are varied in place.

    Args:
        images: uint8 (H, W, 3) each, writable.
    """

    def __init__(self, images: Sequence[Any]) -> None:
        self._images = images
        self._states = [0] * len(images)
        # Pages that a fork shares become this process's own when they are written. That happens
        # here, before anybody watches its memory.
        for index in range(len(images)):
            for _ in range(2):
                self._set(index, self._states[index] ^ ((1 << _PATCHES) - 1))

    def __len__(self) -> int:
        return len(self._images)

    def index(self, number: int) -> int:
        """The index of the image of a turn."""
        # Three images in a visit, a third of all apart, so that visits come by every image as often
        # as by any other: which of them a change makes slow must not matter.
        visit, apart = number // ROUNDS, _APART[number % ROUNDS]
        return (visit + apart * len(self._images) // 3) % len(self._images)

    def image(self, number: int) -> Any:
        """The image of a turn; the next call may change it."""
        variation = 0 if number % ROUNDS == EVALUATED else 1 + number
        return self.varied(self.index(number), variation)

    def varied(self, index: int, variation: int) -> Any:
        """An image in a variation; 0: as it is."""
        code = variation % (1 << _PATCHES)
        self._set(index, code ^ (code >> 1))  # Gray's code: one patch is flipped at a time
        return self._images[index]

    def _set(self, index: int, state: int) -> None:
        image, different = self._images[index], self._states[index] ^ state
        height = image.shape[0]
        for patch in range(_PATCHES):
            if different >> patch & 1:
                # From the middle outwards and all over: borders may be padding, or cropped.
                first = (patch * 7 + 8) % _PATCHES * height // _PATCHES
                image[first : first + max(1, height // _SHARE)] ^= 1
        self._states[index] = state
