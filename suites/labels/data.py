"""Scenes of handwritten digits on photographs with a label for each digit, the same every time.

Digits, photographs and splits are those of the detector (`suites.digits.data`), the scenes are
smaller. Scenes are made on first use and kept below `$PERFGATE_CACHE`, or `.perfgate` in the
project's root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.digits import data as digits
from suites.digits.data import Composer, Scene, Split
from suites.made_once import made_once

if TYPE_CHECKING:
    from pytest_perfgate.tasks.multilabel.data import MultilabelData

SIDE = 160
CLASSES = digits.CLASSES
_MOST = 4

TRAINING = digits.SPLITS["train"]
"""What the detector's weights are trained on."""

SPLITS = digits.splits_of("labels", calibration=(96, 82), validation=(400, 83))


def calibration() -> MultilabelData:
    """96 scenes for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> MultilabelData:
    """400 scenes for measuring accuracy."""
    return _load(SPLITS["validation"])


def scenes(split: Split, seed: int, count: int) -> list[Scene]:
    """Scenes with one to four digits."""
    composer = Composer(split, seed)
    return [composer.scene(SIDE, _MOST) for _ in range(count)]


def labels(some: Sequence[Scene]) -> npt.NDArray[np.uint8]:
    """Of each scene a row (classes,): 1 for digits that are in it."""
    rows = np.zeros((len(some), len(CLASSES)), dtype=np.uint8)
    for row, scene in zip(rows, some, strict=True):
        row[scene.labels] = 1
    return rows


def _load(split: Split) -> MultilabelData:
    from pytest_perfgate.tasks.multilabel.data import MultilabelData

    kept = made_once(split.name, lambda: _make(split), __file__, digits.__file__)
    return MultilabelData(kept["images"], kept["labels"], CLASSES)


def _make(split: Split) -> dict[str, Any]:
    some = scenes(split, split.seed, split.scenes)
    return {"images": np.stack([scene.image for scene in some]), "labels": labels(some)}
