"""The suite's own code: import paths resolved, and what they read kept in view.

A build depends on the source of every module of the project that it imported and on every file
of the project that it opened. `Watch` notes both, so that a cached artifact is used only while
all of them are as they were.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest_perfgate
from pytest_perfgate.errors import RecipeError

_IGNORED = {".git", ".perfgate", "__pycache__", ".tox", ".venv", "reports", "node_modules"}
_WEIGHTS = {".safetensors", ".pt", ".pth", ".onnx", ".npz", ".npy", ".bin", ".json", ".toml"}
"""Files beside an imported module that native loaders open without Python seeing it."""
_HARNESS = Path(pytest_perfgate.__file__).parent


def resolve(path: str, where: str) -> Callable[..., Any]:
    """The function that `path` ("package.module:function") names.

    Raises:
        RecipeError: the module or the function is not there.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise RecipeError(
                f"the module {module_name!r} is not found",
                where=where,
                next_step=f"from the project's root: python -c 'import {module_name}'",
            ) from error
        raise
    function = getattr(module, name, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise RecipeError(
            f"{module_name!r} has no function {name!r}",
            where=where,
            valid=", ".join(sorted(public)),
        )
    return function  # type: ignore[no-any-return] # callable() does not narrow Any


class Digests:
    """What the project's files (below `root`) hold now, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._digests: dict[str, str] = {}

    def unchanged(self, files: Mapping[str, str]) -> bool:
        """Whether every one of `files` still has the digest that it had."""
        return all(self.digest(name) == digest for name, digest in files.items())

    def digest(self, name: str) -> str:
        """SHA-256 of a file below the root, "" when there is none."""
        if name not in self._digests:
            file = self._root / name
            self._digests[name] = (
                hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
            )
        return self._digests[name]


class Watch(Digests):
    """Notes which files of the project (below `root`) this process has read.

    The harness's own are not among them, also where they lie there: what of them shapes an artifact
    is in its key.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._prefix = str(self._root) + os.sep
        self._opened: set[str] = set()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], (str, bytes)):
            return
        mode = arguments[1]
        if isinstance(mode, str) and set(mode) & set("wax+"):
            return
        # Links are not followed: a hook runs inside every open, and must not open anything.
        name = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - see above
        if name.startswith(self._prefix):
            self._opened.add(name)

    def files(self) -> dict[str, str]:
        """Each file read so far, relative to the root, with the digest of its bytes."""
        files = {Path(name) for name in self._opened}
        for module in list(sys.modules.values()):
            source = getattr(module, "__file__", None)
            if source and source.startswith(self._prefix):
                file = Path(source)
                files.add(file)
                files.update(other for other in file.parent.iterdir() if other.suffix in _WEIGHTS)
        listed = {}
        for file in files:
            if file.is_relative_to(_HARNESS):
                continue
            relative = file.relative_to(self._root)
            if _IGNORED.isdisjoint(relative.parts) and relative.name not in _OWN:
                digest = self.digest(relative.as_posix())
                if digest:
                    listed[relative.as_posix()] = digest
        return dict(sorted(listed.items()))


_OWN = {"recipes.toml", "pyproject.toml"}
"""Read by the harness itself; what matters of them is in an artifact's key already."""
