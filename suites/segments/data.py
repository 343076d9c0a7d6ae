"""Scenes of handwritten digits on photographs with a mask of their strokes, the same every time.

Digits, photographs and splits are those of the detector (`suites.digits.data`), the scenes are
smaller. A mask has the class ids 0, background, and 1 to 10, the digits "0" to "9"; the soft edge
of a stroke, of which nobody can say where it ends, is `IGNORED`. Scenes are made on first use and
kept below `$PERFGATE_CACHE`, or `.perfgate` in the project's root.
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
    from pytest_perfgate.tasks.segmentation.data import SegmentationData

SIDE = 160
CLASSES = ("background", *digits.CLASSES)
IGNORED = 255

Mask = npt.NDArray[np.uint8]

TRAINING = digits.SPLITS["train"]
"""What scenes to train on are composed of (`suites.segments.train`)."""

SPLITS = digits.splits_of("segments", calibration=(96, 22), validation=(400, 23))


def calibration() -> SegmentationData:
    """96 scenes for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> SegmentationData:
    """400 scenes for measuring accuracy."""
    return _load(SPLITS["validation"])


@dataclass(frozen=True)
class MaskedScene:
    """One scene: `image` uint8 (side, side, 3) RGB, `mask` uint8 (side, side) class ids; of its
    digits, which no other one's box touches, `boxes` (x, y, width, height) and `labels` 0 to 9.
    """

    image: Image
    mask: Mask
    boxes: tuple[tuple[int, int, int, int], ...]
    labels: tuple[int, ...]

    def digit(self, index: int) -> Mask:
        """The ink of one digit, uint8 (side, side), 0 or 1."""
        left, top, width, height = self.boxes[index]
        there = np.s_[top : top + height, left : left + width]
        ink = np.zeros_like(self.mask)
        ink[there] = self.mask[there] == 1 + self.labels[index]
        return ink


class MaskComposer(Composer):
    """Composes scenes with masks of one split from a seeded generator."""

    def masked(self, side: int = SIDE, most: int = 4) -> MaskedScene:
        """The next scene: 1 to `most` digits that hardly overlap."""
        image = self._background(side).astype(np.float32)
        mask = np.zeros((side, side), dtype=np.uint8)
        boxes: list[tuple[int, int, int, int]] = []
        labels: list[int] = []
        for _ in range(int(self._random.integers(1, most + 1))):
            label = int(self._random.integers(len(digits.CLASSES)))
            alpha = self._ink(label, side)
            height, width = alpha.shape
            place = self._place(boxes, width, height, side)
            if place is None:
                continue
            left, top = place
            there = np.s_[top : top + height, left : left + width]
            colour = self._colour(image[there][alpha > 0.5].mean(axis=0))
            image[there] += alpha[..., None] * (colour - image[there])
            mask[there][alpha > 0.1] = IGNORED
            mask[there][alpha > 0.5] = 1 + label
            boxes.append((left, top, width, height))
            labels.append(label)
        noisy = image + self._random.normal(0.0, 4.0, (side, side, 1)).astype(np.float32)
        pixels = np.clip(noisy, 0, 255).astype(np.uint8)
        return MaskedScene(pixels, mask, tuple(boxes), tuple(labels))


def _load(split: Split) -> SegmentationData:
    from pytest_perfgate.tasks.segmentation.data import SegmentationData

    kept = made_once(split.name, lambda: _make(split), __file__, digits.__file__)
    return SegmentationData(kept["images"], kept["masks"], CLASSES, ignore_index=IGNORED)


def _make(split: Split) -> dict[str, Any]:
    composer = MaskComposer(split, split.seed)
    scenes = [composer.masked() for _ in range(split.scenes)]
    return {
        "images": np.stack([scene.image for scene in scenes]),
        "masks": np.stack([scene.mask for scene in scenes]),
    }
