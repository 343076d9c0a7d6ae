"""Scenes of rotated handwritten digits on photographs with their oriented boxes, the same every
time.

Digits, photographs and splits are those of the detector (`suites.digits.data`), the scenes are
smaller. A box is the one around the upright ink, turned with it. Small digits are difficult. Scenes
are made on first use and kept below `$PERFGATE_CACHE`, or `.perfgate` in the project's root.
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
    from pytest_perfgate.tasks.oriented.data import OrientedData

SIDE = 160
CLASSES = ("digit",)
MOST_TURN = np.pi / 3
"""Of a digit to either side."""

_DIFFICULT = 22  # pixels: a digit that is less high is difficult

TRAINING = digits.SPLITS["train"]
"""What scenes to train on are composed of (`suites.oriented.train`)."""

SPLITS = digits.splits_of("oriented", calibration=(96, 42), validation=(400, 43))


def calibration() -> OrientedData:
    """96 scenes for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> OrientedData:
    """400 scenes for measuring accuracy."""
    return _load(SPLITS["validation"])


@dataclass(frozen=True)
class TurnedScene:
    """One scene: `image` uint8 (side, side, 3) RGB; `boxes` float64 (M, 5), centre x and y, width,
    height and angle in radians; `labels` int64 (M,), which digits they are.
    """

    image: Image
    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]

    @property
    def difficult(self) -> npt.NDArray[np.bool_]:
        """Whether each digit is difficult, (M,)."""
        result: npt.NDArray[np.bool_] = self.boxes[:, 3] < _DIFFICULT
        return result


class TurnedComposer(Composer):
    """Composes scenes of turned digits of one split from a seeded generator."""

    def turned(self, side: int = SIDE, most: int = 3) -> TurnedScene:
        """The next scene: 1 to `most` digits that hardly overlap."""
        image = self._background(side).astype(np.float32)
        around: list[tuple[float, float, float, float]] = []
        boxes: list[tuple[float, ...]] = []
        labels: list[int] = []
        for _ in range(int(self._random.integers(1, most + 1))):
            label = int(self._random.integers(len(digits.CLASSES)))
            upright = self._ink(label, side)
            angle = float(self._random.uniform(-MOST_TURN, MOST_TURN))
            alpha = _turn(upright, angle)
            height, width = alpha.shape
            place = self._place(around, width, height, side)
            if place is None:
                continue
            left, top = place
            there = np.s_[top : top + height, left : left + width]
            colour = self._colour(image[there][alpha > 0.5].mean(axis=0))
            image[there] += alpha[..., None] * (colour - image[there])
            around.append((float(left), float(top), float(width), float(height)))
            boxes.append((left + width / 2, top + height / 2, *upright.shape[::-1], angle))
            labels.append(label)
        noisy = image + self._random.normal(0.0, 4.0, (side, side, 1)).astype(np.float32)
        return TurnedScene(
            np.clip(noisy, 0, 255).astype(np.uint8),
            np.array(boxes, dtype=np.float64).reshape(-1, 5),
            np.array(labels, dtype=np.int64),
        )


def _turn(alpha: npt.NDArray[np.float32], angle: float) -> npt.NDArray[np.float32]:
    """Opacity turned by an angle from x to y, about its middle, which stays in the middle."""
    from PIL import Image as Pillow

    turned = Pillow.fromarray(alpha).rotate(
        -float(np.rad2deg(angle)), Pillow.Resampling.BILINEAR, expand=True
    )
    result: npt.NDArray[np.float32] = np.clip(np.asarray(turned), 0.0, 1.0)
    return result


def _load(split: Split) -> OrientedData:
    from pytest_perfgate.tasks.oriented.data import OrientedData
    from pytest_perfgate.tasks.polygons import rotated

    kept = made_once(split.name, lambda: _make(split), __file__, digits.__file__)
    boxes = [np.array(one["boxes"]).reshape(-1, 5) for one in kept["objects"]]
    return OrientedData(
        kept["images"],
        [rotated(one) for one in boxes],
        [np.zeros(len(one), dtype=np.int64) for one in boxes],
        [np.array(one["difficult"], dtype=bool) for one in kept["objects"]],
        CLASSES,
    )


def _make(split: Split) -> dict[str, Any]:
    composer = TurnedComposer(split, split.seed)
    scenes = [composer.turned() for _ in range(split.scenes)]
    return {
        "images": np.stack([scene.image for scene in scenes]),
        "objects": [
            {"boxes": scene.boxes.tolist(), "difficult": scene.difficult.tolist()}
            for scene in scenes
        ],
    }
