"""Makes validation images small enough to travel in a session's file."""

from __future__ import annotations

import base64
import io
from typing import Any

from pytest_perfgate.records.image_losses import THUMBNAIL_BYTES

_SIDE = 360  # pixels of the longer side, at most
_QUALITIES = (70, 50, 30)


def thumbnail(image: Any) -> tuple[str, str]:
    """The media type and the base64 text of a decoded image, uint8 (H, W, 3) RGB, or with
    transparency (H, W, 4), made small: at most `THUMBNAIL_BYTES` characters.
    """
    from PIL import Image, features

    picture = Image.fromarray(image).convert("RGB")
    kind = "WEBP" if features.check("webp") else "JPEG"
    side = _SIDE
    while True:
        small = picture.copy()
        small.thumbnail((side, side))
        for quality in _QUALITIES:
            out = io.BytesIO()
            small.save(out, kind, quality=quality)
            data = base64.b64encode(out.getvalue()).decode("ascii")
            if len(data) <= THUMBNAIL_BYTES:
                return f"image/{kind.lower()}", data
        side //= 2
