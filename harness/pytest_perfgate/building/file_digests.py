"""What files hold, by digests, each read once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_perfgate.building.folder_digests import digest_of_folder
from pytest_perfgate.building.own_reads import VARIABLE, variable_digest
from pytest_perfgate.records.inputs import CONTENTS, MODULES, NAMES

Identity = tuple[int, int, int, int]
"""Of a file's content: inode, size, and the two times in nanoseconds."""


def _identity(name: str) -> Identity | None:
    """That of a file now; None where there is none. It opens nothing."""
    try:
        status = os.stat(name)  # noqa: PTH116 - in a hook that runs inside every open
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Digests:
    """What the project's files (below `root`) hold now, each read once; `progress(done, total,
    note)` is called while they are read.
    """

    def __init__(
        self, root: Path, progress: Callable[[int, int, str], None] = lambda *_: None
    ) -> None:
        self._root = root.resolve()
        self._progress = progress
        self._digests: dict[str, str] = {}
        self._identities: dict[str, Identity | None] = {}  # when they were digested

    def unchanged(self, files: Mapping[str, str]) -> bool:
        """Whether every one of `files` still has the digest that it had."""
        for index, (name, digest) in enumerate(files.items()):
            if self.digest(name) != digest:
                return False
            self._progress(index + 1, len(files), "comparing the project's files")
        return True

    def digest(self, name: str) -> str:
        """SHA-256 of a file, its name relative to the root or whole; "" when there is none. Of a
        folder what its name's end asks for (`records.inputs`), of an environment variable that of
        its value (`building.own_reads`).
        """
        if name.startswith(VARIABLE):
            return variable_digest(name)
        if name not in self._digests and name.endswith((MODULES, NAMES, CONTENTS)):
            self._digests[name] = digest_of_folder(self._root, name, self.digest)
        if name not in self._digests:
            file = self._root / name
            self._identities[name] = _identity(str(file))
            self._digests[name] = (
                hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
            )
        return self._digests[name]
