"""Thumbnails: images that anyone can decode again, never larger than was promised."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from pytest_perfgate.records.image_losses import THUMBNAIL_BYTES
from pytest_perfgate.worker.thumbnails import thumbnail


@pytest.mark.parametrize("shape", [(64, 64), (1200, 800), (40, 3000), (1, 1)])
def test_the_worst_image_there_is_still_fits(shape: tuple[int, int]) -> None:
    """Noise, which hardly compresses, stays within the limit and keeps its proportions."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    media, text = thumbnail(pixels)
    assert media in {"image/webp", "image/jpeg"}
    assert len(text) <= THUMBNAIL_BYTES
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert max(picture.size) <= 360
    wide, high = picture.size
    assert wide / high == pytest.approx(shape[1] / shape[0], rel=0.35)


def test_a_thumbnail_shows_what_the_image_shows() -> None:
    """The bright half is still on the left."""
    from PIL import Image

    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[:, :150] = 250
    _, text = thumbnail(pixels)
    small = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L"))
    assert small[:, :100].mean() > 200
    assert small[:, -100:].mean() < 50
