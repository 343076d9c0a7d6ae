"""What a suite and its code name of the file system: it is copied to a target, or must be there."""

from __future__ import annotations

import os
import site
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.records.recipe import Suite

_LONGEST = 4096  # of a path


def named_by(suite: Suite) -> tuple[Path, ...]:
    """Existing files and folders that texts of a suite are the names of, relative to its folder or
    to the project's root: its model, its data, files of its steps.
    """
    paths: dict[Path, None] = {}
    for text in _texts(suite):
        if 0 < len(text) < _LONGEST and "\0" not in text:
            for folder in (suite.folder, suite.root):
                path = Path(os.path.normpath(folder / text))
                if os.path.lexists(path):
                    paths[path] = None
    return tuple(paths)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from _texts(part)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _texts(getattr(value, one.name))


def import_folders(root: Path, pythonpath: tuple[Path, ...]) -> tuple[Path, ...]:
    """Folders below a root that its modules are imported from: pytest's `pythonpath`, PYTHONPATH,
    editable installs, `src`.

    On another host an installed copy of the project, perhaps an old one, would answer for them.
    """
    folders = [*map(str, pythonpath), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    for packages in map(Path, (*site.getsitepackages(), site.getusersitepackages())):
        for file in sorted(packages.glob("*.pth")):
            try:
                folders += file.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError):
                continue  # site skips it, too
    folders.append(str(root / "src"))
    own = (Path(folder) for folder in folders if folder and Path(folder).is_absolute())
    below = (folder for folder in own if folder.is_relative_to(root) and folder.is_dir())
    return tuple(
        dict.fromkeys(
            folder
            for folder in below
            if not any(part.startswith(".") for part in folder.relative_to(root).parts)
        )
    )
