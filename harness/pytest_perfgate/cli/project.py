"""The project that a command is run in: its root and its suites, from any folder inside."""

from __future__ import annotations

from pathlib import Path

from pytest_perfgate.suite.lookup import suite_files

SUITES = Path("suites")
"""Where suites lie unless an option says otherwise, relative to the root."""

_MARKS = (
    ".perfgate",  # sessions ran here
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
    ".git",
)


def root_of(start: Path) -> Path:
    """The nearest folder, from `start` upwards, where sessions ran, pytest has its settings or a
    repository begins; `start` itself where there is none.
    """
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in _MARKS):
            return folder
    return start


def locate(start: Path, suites: Path) -> tuple[Path, Path]:
    """The root of the project that `start` is in, and the folder to look for suites in.

    That is `suites`, relative to `start`, when it is there or was asked for; else the suite that
    `start` is in; else `start`, when suites are below it; else the root's own `suites`, or the
    root.
    """
    root = root_of(start)
    if suites != SUITES or (start / suites).is_dir():
        return root, start / suites
    for folder in (start, *start.parents):
        if (folder / "recipes.toml").is_file():
            return root, folder
        if folder == root:
            break
    if start != root and suite_files(start):
        return root, start
    return root, root / SUITES if (root / SUITES).is_dir() else root
