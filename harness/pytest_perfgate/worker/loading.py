"""What an arm loads before its time begins: frameworks, and the images that it cycles through."""

from __future__ import annotations

import contextlib
import gc
import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import BuildError

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo


def preload(modules: Sequence[str]) -> None:
    """Imports frameworks; the arm that needs a missing one will say so."""
    # Before the fork: arms then share the pages of the code, and differ in nothing that depends on
    # the order of imports.
    gc.disable()  # an import leaves no garbage, and the search for it takes a fifth of torch's
    try:
        for name in modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    finally:
        gc.enable()


def read_images(file: Path) -> list[Any]:
    """Images that a "prepare" job wrote: uint8 (H, W, 3) each."""
    return list(read_arrays(file).values())


def read_arrays(file: Path) -> dict[str, Any]:
    """Arrays that another worker wrote with `numpy.savez`, by name. None takes more memory than it
    has bytes in the file.

    Raises:
        BuildError: the file is compressed, or an array claims to be larger than it is.
    """
    import zipfile

    import numpy as np

    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or not _fits(archive, member):
                raise BuildError(
                    f"the array {member.filename} is larger than its part of the file",
                    where=str(file),
                    valid="what numpy.savez writes",
                    next_step="pytest-perfgate cache verify",
                )
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


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
