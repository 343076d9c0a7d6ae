"""Sequences of handwritten digits that move over photographs, the same every time.

Digits, photographs and splits are those of the detector (`suites.digits.data`), so that it has seen
none of them. Digits move in straight lines and turn round at the borders; they pass each other, the
later one in front. Sequences are made on first use and kept below `$PERFGATE_CACHE`, or `.perfgate`
in the project's root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.digits import data as digits
from suites.digits.data import Composer, Image, Split
from suites.made_once import made_once

if TYPE_CHECKING:
    from pytest_perfgate.tasks.tracking.data import TrackingData

SIDE = 192
FRAMES = 24
CLASSES = digits.CLASSES

SPLITS = digits.splits_of("tracking", calibration=(4, 42), validation=(12, 43))


def calibration() -> TrackingData:
    """4 sequences for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> TrackingData:
    """12 sequences of 24 frames for measuring accuracy."""
    return _load(SPLITS["validation"])


@dataclass(frozen=True)
class MovingScene:
    """One frame: `image` uint8 (SIDE, SIDE, 3) RGB, `boxes` (K, 4) corners of the digits that are
    in it, their `ids` and `labels` (K,).
    """

    image: Image
    boxes: list[list[float]]
    ids: list[int]
    labels: list[int]


@dataclass
class _Digit:
    label: int
    alpha: npt.NDArray[np.float32]
    colour: npt.NDArray[np.float32]
    place: npt.NDArray[np.float64]  # left and top
    step: npt.NDArray[np.float64]

    def move(self) -> None:
        """To the next frame; it turns round at the borders."""
        room = SIDE - np.array(self.alpha.shape[::-1])
        moved = self.place + self.step
        self.step = np.where((moved < 0) | (moved > room), -self.step, self.step)
        self.place = np.clip(self.place + self.step, 0, room)


class SequenceComposer(Composer):
    """Composes sequences of one split from a seeded generator."""

    def sequence(self, frames: int = FRAMES, most: int = 4) -> list[MovingScene]:
        """The next sequence: 2 to `most` digits, of classes of their own."""
        background = self._background(SIDE).astype(np.float32)
        count = int(self._random.integers(2, most + 1))
        labels = self._random.permutation(len(CLASSES))[:count]
        moving = [self._digit(int(label), background) for label in labels]
        scenes = []
        for _ in range(frames):
            scenes.append(self._frame(background, moving))
            for digit in moving:
                digit.move()
        return scenes

    def _digit(self, label: int, background: npt.NDArray[np.float32]) -> _Digit:
        alpha = self._ink(label, SIDE)
        room = SIDE - np.array(alpha.shape[::-1])
        angle = self._random.uniform(0, 2 * np.pi)
        step = self._random.uniform(2.0, 6.0) * np.array([np.cos(angle), np.sin(angle)])
        colour = self._colour(background.reshape(-1, 3).mean(axis=0))
        return _Digit(label, alpha, colour, self._random.uniform(0, room), step)

    def _frame(self, background: npt.NDArray[np.float32], moving: list[_Digit]) -> MovingScene:
        image = background.copy()
        boxes = []
        for digit in moving:
            left, top = (round(float(place)) for place in digit.place)
            height, width = digit.alpha.shape
            there = image[top : top + height, left : left + width]
            there += digit.alpha[..., None] * (digit.colour - there)
            boxes.append([float(left), float(top), float(left + width), float(top + height)])
        image += self._random.normal(0.0, 4.0, (SIDE, SIDE, 1)).astype(np.float32)
        return MovingScene(
            np.clip(image, 0, 255).astype(np.uint8),
            boxes,
            list(range(1, len(moving) + 1)),
            [digit.label for digit in moving],
        )


def _load(split: Split) -> TrackingData:
    from pytest_perfgate.tasks.tracking.data import Objects, TrackingData

    kept = made_once(split.name, lambda: _make(split), __file__, digits.__file__)
    objects = [Objects.of(one["boxes"], one["ids"], one["labels"]) for one in kept["objects"]]
    return TrackingData(kept["images"], [FRAMES] * split.scenes, objects, CLASSES)


def _make(split: Split) -> dict[str, Any]:
    composer = SequenceComposer(split, split.seed)
    scenes = [scene for _ in range(split.scenes) for scene in composer.sequence()]
    return {
        "images": np.stack([scene.image for scene in scenes]),
        "objects": [{"boxes": one.boxes, "ids": one.ids, "labels": one.labels} for one in scenes],
    }
