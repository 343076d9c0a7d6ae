"""Images of a data set: files decoded when asked for, and what tells one image from another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError


def digest(image: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of an image's shape and pixels."""
    return hashlib.sha256(
        str(image.shape).encode() + np.ascontiguousarray(image).tobytes()
    ).hexdigest()


class ImageFiles(Sequence[Any]):
    """Images in files, uint8 (H, W, 3) RGB, decoded when asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        from PIL import Image, UnidentifiedImageError

        file = self._files[index]
        try:
            with Image.open(file) as picture:
                return np.asarray(picture.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"the image cannot be decoded: {error}", where=str(file)) from error


def inside(folder: Path, name: str, fence: Path) -> Path:
    """The path `name` in `folder`.

    Raises:
        DataError: it leads out of `fence`.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(fence.resolve()):
        raise DataError(f"the path {name!r} leaves {fence}", where=str(folder))
    return path
