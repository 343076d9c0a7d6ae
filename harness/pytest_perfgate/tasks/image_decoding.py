"""Pictures in files, decoded as viewers show them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.alpha import Alpha

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

_UPRIGHT = 1
_ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is to be turned."""
_LYING = (5, 6, 7, 8)
"""Its values with which width and height change places."""


def decode(file: Path, alpha: Alpha = "drop") -> tuple[npt.NDArray[np.uint8], list[str]]:
    """A picture as viewers show it, uint8 (H, W, 3) RGB, or with `alpha` "keep" (H, W, 4) RGBA, and
    remarks on how it was read.

    The EXIF orientation is applied. Of 16 bits the high byte is taken, as OpenCV and libpng do.

    Raises:
        DataError: it cannot be decoded to 8 bits a channel; names the file.
    """
    import numpy as np
    from PIL import Image, ImageOps

    remarks = []
    try:
        with warnings.catch_warnings():
            # A picture of many pixels; beyond twice as many Pillow raises.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as stored:
                if stored.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
                    remarks.append("are turned by their EXIF orientation")
                picture = ImageOps.exif_transpose(stored)
                if alpha != "keep" and _is_transparent(picture):
                    how = f"are laid over the background {list(alpha)}"
                    taken = (
                        "their colours are taken as opaque" if alpha == "drop" else f"they {how}"
                    )
                    remarks.append(f"have transparent pixels; {taken}")
                if picture.mode.startswith("I;16"):
                    remarks.append("have 16 bits a pixel; the high byte is taken")
                    return _high_bytes(picture, 4 if alpha == "keep" else 3), remarks
                if picture.mode in ("I", "F"):
                    raise DataError(
                        f"the picture has the mode {picture.mode!r}, whose value range is unknown",
                        where=str(file),
                        valid="8 bits a channel, or 16",
                        next_step="convert it to 8 bits a channel",
                    )
                return np.asarray(_colours(picture, alpha)), remarks
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"the image is too large to decode: {error}",
            where=str(file),
            next_step="cut the picture into tiles, or make it smaller",
        ) from error
    except Exception as error:
        # Pillow's plugins raise any type on a broken file, SyntaxError and struct.error too.
        raise DataError(
            f"the image cannot be decoded: {error}",
            where=str(file),
            next_step="open it in a viewer: if it is damaged, fetch it again or take it out of the "
            "data set; if it is of a format that Pillow does not read, save it as PNG",
        ) from error


def upright_size(file: Path) -> tuple[int, int]:
    """Height and width of a picture as `decode` gives it; its pixels are not read.

    Raises:
        DataError: it is no picture; names the file.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as stored:
                width, height = stored.size
                lying = stored.getexif().get(_ORIENTATION, _UPRIGHT) in _LYING
    except Exception as error:  # as in `decode`
        raise DataError(f"the image cannot be decoded: {error}", where=str(file)) from error
    return (width, height) if lying else (height, width)


def _is_transparent(picture: Image) -> bool:
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        lowest, _ = picture.getchannel(picture.getbands()[-1]).getextrema()
        return isinstance(lowest, (int, float)) and lowest < 255
    return "transparency" in picture.info


def _colours(picture: Image, alpha: Alpha) -> Image:
    """The picture with three channels, or with `alpha` "keep" four."""
    from PIL import Image

    if alpha == "drop":
        return picture.convert("RGB")
    layers = picture.convert("RGBA")
    if alpha == "keep":
        return layers
    under = Image.new("RGBA", layers.size, (*alpha, 255))
    return Image.alpha_composite(under, layers).convert("RGB")


def _high_bytes(picture: Image, channels: int) -> npt.NDArray[np.uint8]:
    """16-bit grey to uint8 (H, W, 3), or (H, W, 4), all opaque."""
    import numpy as np

    grey = (np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8)
    planes = [grey, grey, grey, np.full_like(grey, 255)]
    return np.stack(planes[:channels], axis=2)
