"""Which of the project's files a link of a chain rests on, among those that its process has read.

Before a link is built, the same process has read the data: to compare splits, and for an example
of the network's input. What was read of the project for that alone is no part of the link: the
content of the splits that a step learns from is in its key by a digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.artifact import IMPORT_PATH, OptionsModel
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.steps import Step


def link_files(watch: Watch, suite: Suite, step: Step, options: OptionsModel) -> dict[str, str]:
    """The files that a link by `step` rests on besides those of the link before, with their
    digests.
    """
    return watch.files_of(set(_code(suite, step, options)), list(_places(suite)))


def _code(suite: Suite, step: Step, options: OptionsModel) -> Iterator[str]:
    """The modules whose code runs in a build: of the model, of what the suite has of its own in
    front of the network, and of what the step calls.
    """
    yield type(step).__module__
    paths = [suite.model.name, suite.task, suite.input.get("preprocess")]
    paths += _texts(options.model_dump(mode="json"))
    if step.trains_with(options):
        paths.append(suite.trainer)
    # Code of the data runs in a step that learns from it: methods of a class, workers of a loader.
    paths += [suite.data.get(split) for split in step.splits_with(options)]
    for path in paths:
        if isinstance(path, str) and IMPORT_PATH.fullmatch(path):
            yield path.partition(":")[0]


def _texts(value: Any) -> Iterator[str]:
    """The texts in options, nested ones too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _places(suite: Suite) -> Iterator[Path]:
    """The files and folders that declared data sets are read from."""
    for source in suite.data.values():
        if isinstance(source, Mapping):
            for text in _texts(source):
                place = suite.folder / text
                if place.exists():
                    yield place
