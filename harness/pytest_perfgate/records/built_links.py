"""The first links of a recipe's chain, built on another machine and brought to this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.records.recipe_record import Failure, Link


@dataclass(frozen=True)
class BuiltLinks:
    """What a session has built of a recipe for the target that measures it.

    Attributes:
        lineage: the links, from the model on; () where their build failed.
        kind: of the last one's artifact.
        entry: the folder of the last one in the store, relative to that of all artifacts there.
        seal: the digest of the entry's description, which has the digest of each of its files.
        failure: why there are none; None where there are some.
    """

    lineage: tuple[Link, ...] = ()
    kind: str = ""
    entry: Path = Path()
    seal: str = ""
    failure: Failure | None = None

    @property
    def steps(self) -> int:
        """How many steps of the chain are done; the first link is the model itself."""
        return max(0, len(self.lineage) - 1)
