"""The processes of one training, as whoever started them tells each of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import BuildError


@dataclass(frozen=True)
class Peers:
    """The processes of one training as one of them sees the others.

    Attributes:
        rank: its number, 0 to `size` - 1.
        size: how many there are.
        rendezvous: a file by which they find each other; it need not exist.
        ready: called just before they meet: rank 0 waits in it for the others.
        lost: what ended one of them, None where none did.
    """

    rank: int
    size: int
    rendezvous: Path
    ready: Callable[[], None]
    lost: Callable[[], BuildError | None]
