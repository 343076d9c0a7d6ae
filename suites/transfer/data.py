"""Lines of scikit-learn's handwritten digits, half of them upside down.

Each line has digits of one split alone: the first 60 % of each class to train on, then 15 % for
the search of values (`tuning`), the others to measure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from suites.transfer.model import HEIGHT, WIDTH

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification.data import ClassificationData

CLASSES = ("0", "180")
_DARKEST = 16.0  # scikit-learn's digits have 17 shades


def train() -> ClassificationData:
    """512 lines."""
    return _lines(512, 1, 0.0, 0.6)


def tuning() -> ClassificationData:
    """400 lines of other digits."""
    return _lines(400, 2, 0.6, 0.75)


def validation() -> ClassificationData:
    """600 lines of other digits."""
    return _lines(600, 3, 0.75, 1.0)


def _lines(count: int, seed: int, begin: float, end: float) -> ClassificationData:
    from pytest_perfgate.tasks.classification.data import ClassificationData
    from sklearn.datasets import load_digits

    known = load_digits()
    rows: list[int] = []
    for label in range(10):
        own = np.flatnonzero(known.target == label)
        rows += own[int(begin * len(own)) : int(end * len(own))].tolist()
    random = np.random.default_rng(seed)
    lines = [_line(known.images[random.choice(rows, 6)], random) for _ in range(count)]
    labels = [place % 2 for place in range(count)]
    turned = [
        np.ascontiguousarray(np.rot90(line, 2 * label))
        for line, label in zip(lines, labels, strict=True)
    ]
    return ClassificationData(turned, labels, CLASSES)


def _line(digits: Any, random: np.random.Generator) -> Any:
    """Digits (M, 8, 8) side by side in ink on paper, uint8 (HEIGHT, WIDTH, 3)."""
    from PIL import Image

    ink = np.zeros((HEIGHT, WIDTH), np.float64)
    step = WIDTH // len(digits)
    for place, digit in enumerate(digits):
        side = int(random.integers(26, step + 1))
        small = Image.fromarray((digit * (255.0 / _DARKEST)).astype(np.uint8))
        large = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.float64)
        top = int(random.integers(4, HEIGHT - side - 3))
        left = place * step + int(random.integers(0, step - side + 1))
        ink[top : top + side, left : left + side] = large / 255.0
    paper, colour = random.uniform(150, 255, 3), random.uniform(0, 90, 3)
    line = paper + ink[..., None] * (colour - paper) + random.normal(0, 8, (HEIGHT, WIDTH, 1))
    return line.clip(0, 255).astype(np.uint8)
