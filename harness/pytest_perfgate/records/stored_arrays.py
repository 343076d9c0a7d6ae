"""Arrays of `numpy.savez`, read so that none takes more memory than its file has bytes."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pytest_perfgate.files import ZIP_ERRORS

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo


def stored_arrays(source: Path | BinaryIO) -> dict[str, Any]:
    """Arrays by name.

    Raises:
        ValueError: it is no such file, or is compressed, or an array claims to be larger than its
            part of the file.
        OSError: it cannot be read.
    """
    import zipfile

    import numpy as np

    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED:
                    raise _too_large(member)
            # The directory says how large a part is, and is of whoever wrote the file.
            if sum(member.file_size for member in members) > _length(source):
                raise ValueError("the arrays are larger than the file")
            for member in members:
                if not _fits(archive, member):
                    raise _too_large(member)
        if not isinstance(source, Path):
            source.seek(0)
        with np.load(source, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except ZIP_ERRORS as error:
        raise ValueError(f"no arrays of numpy: {error}") from error


def _too_large(member: ZipInfo) -> ValueError:
    return ValueError(f"the array {member.filename} is larger than its part of the file")


def _length(source: Path | BinaryIO) -> int:
    if isinstance(source, Path):
        return source.stat().st_size
    return source.seek(0, io.SEEK_END)


def _fits(archive: ZipFile, member: ZipInfo) -> bool:
    """Whether an array is no larger than its part of the file."""
    from numpy.lib import format as npy

    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        with archive.open(member) as part:
            shape, _, dtype = readers[npy.read_magic(part)](part)
    except (KeyError, ValueError):  # of another version, or no array
        return False
    return math.prod(shape) * dtype.itemsize <= member.file_size
