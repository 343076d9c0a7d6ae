"""Resizing of pictures by the library that `[suite.input]` names."""

from __future__ import annotations

from typing import Any


def resize(image: Any, height: int, width: int) -> Any:
    """A uint8 (H, W, 3) picture as uint8 (height, width, 3), bilinear with antialiasing."""
    import numpy as np
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
