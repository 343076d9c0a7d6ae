"""What a process that fetches or exchanges files is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """Files to fetch.

    Attributes:
        text: the location.
        folder: where the files go, below the names in `files`; what an earlier process has left
            there is continued.
        files: paths relative to the folder of the location's first file, which stands first;
            empty: that file alone.
        sizes: of each file, in bytes; a larger or smaller one is refused. Empty: any.
        version: the commit to fetch, "" for what the location names.
        repository: the folder that a path of DVC starts from.
        revision: the commit of that repository, "" for its working tree.
    """

    text: str
    folder: Path
    files: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    version: str = ""
    repository: Path = Path()
    revision: str = ""


@dataclass(frozen=True)
class Exchange:
    """Files to exchange with a folder in a store. No file of it ever changes: what only the store
    has is fetched, what only this machine has is sent, and what was there and no longer is goes
    here, too.

    Attributes:
        text: the folder in the store.
        folder: the folder of this machine.
        names: a regular expression; files whose path in the folder does not match are others'.
        gone: paths to delete there, when everything is sent.
    """

    text: str
    folder: Path
    names: str
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """How it went.

    Attributes:
        files: those that were fetched, the first of the location first.
        version: what the store calls this content.
        problem, valid, next_step: of an error; "" where there is none.
    """

    files: tuple[str, ...] = ()
    version: str = ""
    problem: str = ""
    valid: str = ""
    next_step: str = ""
