"""Decoded images of one session, in one file for all processes that evaluate recipes.

Eight recipes of a suite read the same validation images: the first process that decodes one keeps
its pixels here, and the others read them. Images are named by the digest of their pixels, and what
is read is compared with it, so that nothing here has to be trusted: what is damaged, cut short or
still being written is decoded again. Pixels are read and not mapped: pages of a map would count as
memory of every process that evaluates.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

VARIABLE = "PERFGATE_PIXELS"
"""Names the session's folder for processes that evaluate; without it nothing is kept."""

MOST = 8 * 2**30
"""Bytes that are kept at most: 9,000 pictures of 640 x 480 pixels."""

_SHARE = 4  # of the disk's free bytes one part in so many, at most
_DIGEST, _PLACE = 32, 8  # bytes of a record of the index


def digest(image: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of an image's shape and pixels."""
    import numpy as np

    total = hashlib.sha256(str(image.shape).encode())
    total.update(np.ascontiguousarray(image).reshape(-1).data)  # without a copy
    return total.hexdigest()


class KeptPixels:
    """The pixels that processes of a session keep in `folder`, up to `most` bytes."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        self._pixels, self._index = folder / "pixels", folder / "index"
        self._most, self._folder = most, folder
        self._places: dict[bytes, int] = {}
        self._read = 0  # bytes of the index

    def get(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
        """The image of a digest, read-only uint8 of `shape`; None: it is not kept, or not whole."""
        import numpy as np

        key = bytes.fromhex(name)
        with suppress(OSError):
            if key not in self._places:
                with _opened(self._index) as index:
                    self._follow(index)
            place = self._places.get(key)
            if place is None:
                return None
            image = np.empty(shape, np.uint8)
            with _opened(self._pixels) as pixels:
                os.preadv(pixels, [image.reshape(-1).data], place)
            if digest(image) == name:
                image.flags.writeable = False
                return image
        return None

    def add(self, name: str, image: npt.NDArray[np.uint8]) -> None:
        """Keeps an image by its digest. One that has no room, or cannot be written, is decoded
        again.
        """
        import numpy as np

        key, content = bytes.fromhex(name), np.ascontiguousarray(image)
        if key in self._places:
            return
        with suppress(OSError), _opened(self._index) as index, _opened(self._pixels) as pixels:
            fcntl.flock(index, fcntl.LOCK_EX)  # until it is closed
            self._follow(index)
            place = os.fstat(pixels).st_size
            if key in self._places or content.nbytes > self._room(place):
                return
            if os.pwrite(pixels, content.reshape(-1).data, place) == content.nbytes:
                os.pwrite(index, key + place.to_bytes(_PLACE, "little"), self._read)

    def _room(self, used: int) -> int:
        return min(self._most - used, shutil.disk_usage(self._folder).free // _SHARE)

    def _follow(self, index: int) -> None:
        """Reads what was added to the index since; of a record that is cut short nothing."""
        size = _DIGEST + _PLACE
        rows = os.pread(index, os.fstat(index).st_size - self._read, self._read)
        for start in range(0, len(rows) - size + 1, size):
            row = rows[start : start + size]
            self._places[row[:_DIGEST]] = int.from_bytes(row[_DIGEST:], "little")
            self._read += size


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    """A file of the folder, made where there is none, and never through a link."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)
