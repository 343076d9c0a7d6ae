"""A folder that many machines add to, in a store: what an exchange asks of it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable

from pytest_perfgate.errors import FetchError

LARGEST = 1 << 30
"""Bytes of one file. A month of a thousand recipes is a tenth of it."""


class SharedFolder(ABC):
    """Files that never change, by their paths below the folder. Methods are called from several
    threads; what they raise that is not `FetchError` goes through `refusal`.
    """

    def listed(self, names: str) -> set[str]:
        """The paths that a regular expression matches as a whole.

        Raises:
            FetchError: one of these files is too large to be ours.
        """
        form = re.compile(names)
        sizes = {path: size for path, size in self._sizes() if form.fullmatch(path)}
        large = next((path for path, size in sizes.items() if size > LARGEST), "")
        if large:
            raise FetchError(
                f"the file {large} has {sizes[large]:,} bytes",
                valid=f"up to {LARGEST:,} bytes",
                next_step="take it out of the store, where it is not the history's",
            )
        return set(sizes)

    @abstractmethod
    def _sizes(self) -> Iterable[tuple[str, int]]:
        """All paths, each with its size in bytes."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file."""

    @abstractmethod
    def add(self, path: str, content: bytes) -> bool:
        """Adds a file where nothing has its name: two machines overwrite nothing of each other.
        False where something has.
        """

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Deletes files; one that is not there is no error."""

    @abstractmethod
    def refusal(self, error: Exception) -> FetchError | None:
        """An error of the store in words, None where it is none of the store's."""
