"""What workers are asked and tell of links that are built for another machine; see
`worker.protocol`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.recipe import Suite


@dataclass(frozen=True)
class BuildJob:
    """Build the links of a recipe that are the same on every machine; nothing is evaluated.

    Attributes:
        cache: the folder of the artifact cache.
    """

    suite: Suite
    recipe: str
    cache: Path


@dataclass(frozen=True)
class LinksBuilt:
    """The answer to a `BuildJob`.

    Attributes:
        built: the links.
        files: the project's files that they rest on, with their digests.
        notes: what people should know of how they were built.
    """

    built: BuiltLinks
    files: dict[str, str]
    notes: tuple[str, ...] = ()
