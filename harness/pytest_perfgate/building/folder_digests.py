"""Digests of folders: of the modules in them, of all names, or of all names and contents."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from pytest_perfgate.files import digest_of
from pytest_perfgate.records.inputs import CONTENTS, MODULES, NAMES

IGNORED = {".git", ".perfgate", "__pycache__", ".tox", ".venv", "reports", "node_modules"}
"""Names of folders that hold no source of a project."""

MODULE = re.compile(r"\.(?:py|pyc|so|pyd)$")
"""Ends the name of a file that an import takes."""

_PACKAGE = "__init__.py"


def digest_of_folder(root: Path, name: str, digest: Callable[[str], str]) -> str:
    """That of a folder below `root`, by the end of its `name` (`records.inputs`); "" where there is
    none. `digest` gives those of the files in it.
    """
    end = next(end for end in (NAMES, CONTENTS, MODULES) if name.endswith(end))
    place = root / name.removesuffix(end)
    try:
        listed = os.listdir(place)  # noqa: PTH208 - names, not paths
    except OSError:
        return ""
    names = sorted(one for one in listed if one not in IGNORED and not one.startswith("."))
    if end == MODULES:  # what an import may find there
        names = [one for one in names if MODULE.search(one) or (place / one / _PACKAGE).is_file()]
    if end == CONTENTS:
        return digest_of([(one, digest(str(place / one))) for one in names])
    return digest_of(names)
