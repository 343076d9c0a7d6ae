"""What a lock file says of a location, and where its files lie once they are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.files import digest_of


@dataclass(frozen=True)
class LockedFile:
    """One file of a location.

    Attributes:
        path: relative to the folder of the location's first file.
        size: bytes.
        sha256: of the content, in hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Locked:
    """The content that a location must have.

    Attributes:
        url: the location, without the part inside it.
        files: the file that the URL names, then those that belong to it.
        version: what the store calls this content: an ETag, a commit; "" where it has no name.
    """

    url: str
    files: tuple[LockedFile, ...]
    version: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """Of the content alone: two locations with the same files have one."""
        return digest_of([[file.path, file.size, file.sha256] for file in self.files])


@dataclass(frozen=True)
class Fetched:
    """A location whose files lie in the cache.

    Attributes:
        place: the file or folder that the suite names.
        folder: the folder of the location's files.
        locked: their digests, which are compared again when a model is read.
    """

    place: Path
    folder: Path
    locked: Locked
