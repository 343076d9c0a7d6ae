"""The archives that torch writes: which one a file is, and what is in it. Nothing of it is run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.files import ZIP_ERRORS

LARGEST_TEXT = 256 * 2**20
"""Bytes of one text; a graph of thousands of operators has a few million."""


class Archive:
    """The members of an archive, by their names below its only folder."""

    def __init__(self, opened: zipfile.ZipFile) -> None:
        names = opened.namelist()
        tops = {name.partition("/")[0] for name in names}
        # torch reads the archive with another library, which must not find another member.
        if len(tops) != 1 or len(set(names)) != len(names):
            raise RecipeError("the archive has several folders or a member twice")
        self._opened = opened
        self._top = f"{next(iter(tops))}/"
        self.names = frozenset(name.removeprefix(self._top) for name in names)

    def read(self, name: str) -> bytes:
        """A member.

        Raises:
            RecipeError: it is missing, damaged, or larger than `LARGEST_TEXT`.
        """
        try:
            info = self._opened.getinfo(self._top + name)
            if info.file_size > LARGEST_TEXT:
                raise RecipeError(f"{name!r} in the archive has {info.file_size:,} bytes")
            return self._opened.read(info)
        except (*ZIP_ERRORS, KeyError, OSError, ValueError) as error:
            raise RecipeError(f"{name!r} in the archive cannot be read: {error}") from error

    @property
    def is_torchscript(self) -> bool:
        """Whether torch.jit wrote it."""
        return "constants.pkl" in self.names and "data.pkl" in self.names

    @property
    def is_program(self) -> bool:
        """Whether torch.export wrote it."""
        return "archive_format" in self.names or "serialized_exported_program.json" in self.names


@contextmanager
def opened(file: Path) -> Iterator[Archive | None]:
    """The archive in a file; None for a file that is none.

    Raises:
        RecipeError: it is damaged.
    """
    if not zipfile.is_zipfile(file):
        yield None
        return
    try:
        archive = zipfile.ZipFile(file)
    except ZIP_ERRORS as error:
        raise RecipeError(f"the archive is damaged: {error}") from error
    with archive:
        yield Archive(archive)
