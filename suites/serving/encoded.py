"""The validation scenes as they would lie on a disk: compressed, decoded when they are taken."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData

_QUALITY = 90


class Encoded(Sequence[Any]):
    """Images in JPEG's bytes; taking one decodes it, uint8 (H, W, 3) RGB."""

    def __init__(self, images: Sequence[Any]) -> None:
        from PIL import Image

        self._files: list[bytes] = []
        for each in images:
            file = io.BytesIO()
            Image.fromarray(np.asarray(each)).save(file, "jpeg", quality=_QUALITY)
            self._files.append(file.getvalue())

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        from PIL import Image

        with Image.open(io.BytesIO(self._files[index])) as image:
            return np.asarray(image.convert("RGB"))


def validation() -> DetectionData:
    """The scenes of `suites.digits.data:validation`."""
    from pytest_perfgate.tasks.detection.data import DetectionData

    from suites.digits import data

    scenes = data.validation()
    return DetectionData(Encoded(scenes.images), scenes.coco)
