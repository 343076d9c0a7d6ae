"""Clips of a handwritten digit that moves over a photograph, the same every time.

Digits, photographs and splits are those of the detector (`suites.digits.data`). A clip's class is
how its digit moves, which no frame shows alone. Clips are made on first use and kept below
`$PERFGATE_CACHE`, or `.perfgate` in the project's root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.digits import data as digits
from suites.digits.data import Composer, Split
from suites.made_once import made_once

if TYPE_CHECKING:
    from pytest_perfgate.tasks.clip_classification.data import ClipData

SIDE = 48
FRAMES = 8
CLASSES = (
    "left",
    "right",
    "up",
    "down",
    "clockwise",
    "counterclockwise",
    "grows",
    "shrinks",
)

Clip = npt.NDArray[np.uint8]
"""Frames (FRAMES, SIDE, SIDE, 3) RGB."""

TRAINING = digits.SPLITS["train"]
"""What clips to train on are composed of (`suites.clips.train`)."""

SPLITS = digits.splits_of("clips", calibration=(32, 32), validation=(240, 33))

_STEPS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}


def calibration() -> ClipData:
    """32 clips for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> ClipData:
    """240 clips, 30 of each class, for measuring accuracy."""
    return _load(SPLITS["validation"])


class ClipComposer(Composer):
    """Composes clips of one split from a seeded generator."""

    def clip(self, label: int) -> Clip:
        """The next clip of a class."""
        random, kind = self._random, CLASSES[label]
        background = self._background(SIDE).astype(np.float32)
        ink = (self._ink(int(random.integers(len(digits.CLASSES))), SIDE) * 255).astype(np.uint8)
        first = random.uniform(12, 18)
        heights = np.full(FRAMES, first)
        if kind in {"grows", "shrinks"}:
            heights = np.linspace(10, random.uniform(18, 24), FRAMES)
            heights = heights if kind == "grows" else heights[::-1]
        centres = self._path(kind, float(heights.max()))
        colour = self._colour(background.reshape(-1, 3).mean(axis=0))
        frames = []
        for height, (x, y) in zip(heights, centres, strict=True):
            width = max(4, round(height * ink.shape[1] / ink.shape[0]))
            small = digits._resize(ink, min(width, 28), max(6, round(height)))
            alpha = small.astype(np.float32) / 255.0
            top = int(np.clip(round(y - alpha.shape[0] / 2), 0, SIDE - alpha.shape[0]))
            left = int(np.clip(round(x - alpha.shape[1] / 2), 0, SIDE - alpha.shape[1]))
            image = background.copy()
            there = image[top : top + alpha.shape[0], left : left + alpha.shape[1]]
            there += alpha[..., None] * (colour - there)
            image += random.normal(0.0, 4.0, (SIDE, SIDE, 1)).astype(np.float32)
            frames.append(np.clip(image, 0, 255).astype(np.uint8))
        return np.stack(frames)

    def _path(self, kind: str, height: float) -> npt.NDArray[np.float64]:
        """Where the digit's centre is in each frame, x and y (FRAMES, 2)."""
        random, half = self._random, height / 2
        numbers = np.arange(FRAMES)
        if kind in _STEPS:
            length = random.uniform(14, SIDE - 2 * half - 2)
            move = np.outer(numbers / (FRAMES - 1) - 0.5, _STEPS[kind]) * length
            room = np.maximum(0.0, (SIDE - 2 * half - np.abs(_STEPS[kind]) * length) / 2)
            return SIDE / 2 + random.uniform(-room, room) + move
        if kind in {"clockwise", "counterclockwise"}:
            turn = 1.0 if kind == "clockwise" else -1.0  # y points down
            angles = random.uniform(0, 2 * np.pi) + turn * numbers * random.uniform(0.5, 0.8)
            radius = random.uniform(8, SIDE / 2 - half)
            circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            return np.asarray(SIDE / 2 + radius * circle, np.float64)
        free = SIDE / 2 - half
        centre = SIDE / 2 + random.uniform(-free, free, 2)
        return np.tile(centre, (FRAMES, 1))


def _load(split: Split) -> ClipData:
    from pytest_perfgate.tasks.clip_classification.data import ClipData

    clips = made_once(split.name, lambda: _make(split), __file__, digits.__file__)["clips"]
    labels = [number % len(CLASSES) for number in range(len(clips))]
    frames = clips.reshape(-1, SIDE, SIDE, 3)
    return ClipData(frames, [FRAMES] * len(clips), labels, CLASSES)


def _make(split: Split) -> dict[str, Any]:
    composer = ClipComposer(split, split.seed)
    numbers = range(split.scenes)
    return {"clips": np.stack([composer.clip(number % len(CLASSES)) for number in numbers])}
