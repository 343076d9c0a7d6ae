"""What cameras and files do to a picture. Pictures float64 (H, W, 3) from 0 to 1."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

if TYPE_CHECKING:
    from PIL import Image

Picture = npt.NDArray[np.float64]


def contrast(picture: Picture, severity: int, _random: np.random.Generator) -> Picture:
    """A smaller distance of each value from its channel's mean. Nothing is drawn."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity]
    mean = picture.mean(axis=(0, 1), keepdims=True)
    result: Picture = (picture - mean) * kept + mean
    return result


def elastic_transform(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """Each region is moved, in its own direction (Simard, Steinkraus and Platt 2003)."""
    strength = 250 * (0.05, 0.065, 0.085, 0.1, 0.12)[severity]
    height, width = picture.shape[:2]
    most = 0.005 * height
    down, right = (
        strength
        * ndimage.gaussian_filter(
            random.uniform(-most, most, (height, width)),
            (0.01 * height, 0.01 * width),
            mode="reflect",
            truncate=3,
        )
        for _ in range(2)
    )
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([rows + down, columns + right])
    layers = [
        ndimage.map_coordinates(picture[..., row], places, order=1, mode="reflect")
        for row in range(picture.shape[2])
    ]
    return np.stack(layers, axis=-1)


def pixelate(picture: Picture, severity: int, _random: np.random.Generator) -> Picture:
    """Fewer pixels, each of them larger. Nothing is drawn."""
    from PIL import Image

    kept = (0.6, 0.5, 0.4, 0.3, 0.25)[severity]
    height, width = picture.shape[:2]
    small = _image(picture).resize(
        (max(1, int(width * kept)), max(1, int(height * kept))), Image.Resampling.BOX
    )
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST)) / 255.0


def jpeg_compression(picture: Picture, severity: int, _random: np.random.Generator) -> Picture:
    """Written as a small JPEG file and read again. Nothing is drawn."""
    from PIL import Image

    quality = (25, 18, 15, 10, 7)[severity]
    file = BytesIO()
    _image(picture).save(file, "JPEG", quality=quality)
    with Image.open(file) as read:
        return np.asarray(read.convert("RGB")) / 255.0


def _image(picture: Picture) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.rint(picture * 255).astype(np.uint8))
