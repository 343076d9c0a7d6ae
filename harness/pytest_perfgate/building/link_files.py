"""Which of the project's files a link of a chain rests on, among those that its process has read.

Before a link is built, the same process has read the data: to compare splits, and for an example
of the network's input. What the suite declares as data, and was read for that alone, is no part of
the link: the content of the splits that a step learns from is in its key by a digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.records.recipe import Suite


def link_files(watch: Watch, suite: Suite) -> dict[str, str]:
    """The files that a link rests on besides those of the link before, with their digests."""
    return watch.files_without(list(_places(suite)))


def _places(suite: Suite) -> Iterator[Path]:
    """The files and folders that declared data sets are read from."""
    for source in suite.data.values():
        for text in _texts(source) if isinstance(source, Mapping) else ():
            place = suite.folder / text
            if place.exists():
                yield place


def _texts(value: Any) -> Iterator[str]:
    """The texts in a declaration, nested ones too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
