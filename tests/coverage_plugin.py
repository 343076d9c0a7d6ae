"""Measures which lines and branches of the package the tests run.

`python -m pytest -p tests.coverage_plugin`: from the import of this plugin on, which is before that
of the package, modules of the package have probes (`tests/coverage_probes.py`), in the workers of
pytest-xdist too. Each of these processes leaves a file in the checkout, and `tests.coverage_floors`
makes coverage.py's data of them. Processes that tests start are not measured.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.coverage_probes import FILES, HITS, SOURCES, TOP, Probe, instrumented

PACKAGE = "pytest_perfgate"


class Loader(importlib.abc.FileLoader, importlib.abc.SourceLoader):  # type: ignore[misc] # typeshed's bases disagree
    """Of modules with probes. A module that `pytester` forgets and imports again goes on with its
    list. pytest rewrites assertions of modules of Python's own loader alone, so it leaves these to
    this one, in sessions within a test too.
    """

    passed: dict[str, tuple[list[Probe], list[int]]]

    def exec_module(self, module: ModuleType) -> None:
        """Compiles and runs a module."""
        code, probes = instrumented(self.get_data(self.path), self.path)
        known = self.passed.get(self.path)
        if known is None or known[0] != probes:
            known = self.passed[self.path] = (probes, [0] * len(probes))
        vars(module)[HITS] = known[1]
        exec(code, vars(module))  # noqa: S102 - what a loader is for


def install() -> dict[str, tuple[list[Probe], list[int]]]:
    """Modules of the package have probes from now on: these, and which were passed, by file.

    Raises:
        pytest.UsageError: the package has been imported.
    """
    if PACKAGE in sys.modules:
        raise pytest.UsageError(
            f"{PACKAGE} was imported before {__name__}; next: python -m pytest -p {__name__}"
        )
    passed: dict[str, tuple[list[Probe], list[int]]] = {}
    loader: Any = type("Loader", (Loader,), {"passed": passed})
    finder = importlib.machinery.FileFinder.path_hook((loader, importlib.machinery.SOURCE_SUFFIXES))

    def hook(entry: str) -> Any:
        if not Path(entry).resolve().is_relative_to(SOURCES):
            raise ImportError(f"{entry} is no folder of the package")
        return finder(entry)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.pop(str(SOURCES), None)
    return passed


PASSED = install()
PROCESS = os.getpid()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The first process of a run forgets what earlier runs have left."""
    if not hasattr(config, "workerinput"):
        for file in TOP.glob(FILES):
            file.unlink()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Leaves the file of this process: by module, its lines and its `Branch`es that were run."""
    if os.getpid() != PROCESS:
        return
    runs = {
        file: {
            "lines": [line for probe in hits for line in probe.lines],
            "branches": [branch for probe in hits for branch in probe.branches],
        }
        for file, (probes, numbers) in PASSED.items()
        if (hits := [probe for probe, number in zip(probes, numbers, strict=True) if number])
    }
    (TOP / FILES.replace("*", str(PROCESS))).write_text(json.dumps(runs))
