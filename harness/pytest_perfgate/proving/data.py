"""Calibration images of which half are noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pytest_perfgate.proving.catalogue import DoesNotApply
from pytest_perfgate.records.recipe import PlantedFault

CALIBRATION = "calibration"
_NOISE = "calibration_noise"


def plant_in_split(data: Any, split: str, planted: PlantedFault) -> Any:
    """A split's data with the fault; as they are where the fault lies elsewhere.

    Raises:
        DoesNotApply: the data are no dataclass, so that no copy with other images is made.
    """
    if planted.name != _NOISE or split != CALIBRATION:
        return data
    if not dataclasses.is_dataclass(data) or isinstance(data, type):
        raise DoesNotApply(f"images of {type(data).__name__} are not replaced")
    images: Any = data
    return dataclasses.replace(images, images=HalfNoise(images.images))


class HalfNoise(Sequence[Any]):
    """Images, uint8 (H, W, 3) each, of which every second one is noise of the same size."""

    def __init__(self, images: Sequence[Any]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        import numpy as np

        image = self._images[index]
        if index % 2 == 0:
            return image
        return np.random.default_rng(index).integers(0, 256, image.shape, dtype=np.uint8)
