"""The root of the project: that of the tests, whatever paths stand on the command line.

pytest fixes its root before it knows any plugin's options. It takes a path after a space
(`--perf-cache DIR`) for a test's path as soon as that path exists: the second run of a command has
another root, other settings, other baselines.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_perfgate.plain_text import encodable
from pytest_perfgate.plugin.options import OPTIONS
from pytest_perfgate.records.settings import OFF


def check(config: pytest.Config) -> None:
    """Checks that no option's path can have moved the root.

    Raises:
        pytest.UsageError: a path stands after a space, the root is below or beside the folder that
            pytest was started in, or its path is not UTF-8.
    """
    if hasattr(config, "workerinput"):  # the controller has checked
        return
    start = config.invocation_params.dir
    root = str(config.rootpath)
    if encodable(root) != root:
        raise pytest.UsageError(
            f"the path of the project is not UTF-8: {encodable(root)}. Reports and caches name "
            "files by it: rename the folder"
        )
    arguments = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *config.invocation_params.args]
    _refuse_spaces(arguments, start)
    chosen = any(text.startswith("--rootdir") for text in arguments)
    if not chosen and config.rootpath not in {start, *start.parents}:
        raise pytest.UsageError(
            f"pytest took {config.rootpath} for the project's root, which is neither {start} nor "
            "above it: baselines and settings would depend on the arguments. "
            f"Valid: start pytest in the project, or name its root: --rootdir={config.rootpath}"
        )


def _refuse_spaces(arguments: Sequence[str], start: Path) -> None:
    options = {option.name: option for option in OPTIONS if not isinstance(option.default, bool)}
    for name, value in pairwise(arguments):
        option = options.get(name)
        if option is None or value == OFF:
            continue
        is_path = option.is_path and "://" not in value
        if is_path or (start / value).exists():
            raise pytest.UsageError(
                f"{name} {value}: pytest takes a path after a space for a test's path, and looks "
                f"for the project's root there. Valid: {name}={value}"
            )
