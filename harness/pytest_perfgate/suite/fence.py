"""Where the files of a suite are, and may be."""

from __future__ import annotations

from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.sources import Fence


def fence_of(suite: Suite) -> Fence:
    """Where the files of a suite are, and may be."""
    return Fence(
        suite.folder, suite.root, suite.allow_outside, suite.mounts, suite.tree, suite.fetched
    )
