"""Digests of the code of steps, runtimes, sources and tasks: part of the keys of what they make."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pytest_perfgate import registry
from pytest_perfgate.files import digest_files

_BLOCKS = "body", "orelse", "finalbody", "handlers", "cases"
"""Where statements hold other statements (`ast`'s grammar)."""


def own_code(piece: object) -> str:
    """Digest of the module of an implementation and of the files beside it whose names begin with
    its own: `prune.py`, `prune_layers.py`. "" for one without a file.

    Steps are digested so. Hours of training must not be lost because a helper that many steps share
    has changed; what of it shapes an artifact is added to the key by name.
    """
    file = _file_of(piece)
    return digest_module(file) if file is not None else ""


def whole_code(piece: object) -> str:
    """Digest of all files beside its module that an implementation consists of: those of
    `own_code`, and whatever these import from the same folder, directly or not.
    """
    file = _file_of(piece)
    if file is None:
        return ""
    files = _with_prefix(file)
    while more := {other for one in files for other in _imported(one)} - files:
        files |= {other for one in more for other in _with_prefix(one)}
    return digest_files(file.parent, [one.name for one in files])[0]


def digest_module(file: Path) -> str:
    """Digest of a module and of those beside it whose names begin with its own."""
    return digest_files(file.parent, [one.name for one in _with_prefix(file)])[0]


def digest_folder(folder: Path) -> str:
    """Digest of all modules of a folder and of the folders in it."""
    modules = (file.relative_to(folder).as_posix() for file in folder.rglob("*.py"))
    return digest_files(folder, list(modules))[0]


def source_code(names: Iterable[str]) -> list[str]:
    """Digests of the code of sources."""
    return [own_code(registry.find(registry.SOURCES, name)) for name in names]


def _file_of(piece: object) -> Path | None:
    file = sys.modules[type(piece).__module__].__file__
    return Path(file) if file else None


def _with_prefix(file: Path) -> set[Path]:
    return {file} if file.stem == "__init__" else set(file.parent.glob(f"{file.stem}*.py"))


def _imported(file: Path) -> set[Path]:
    """The files beside `file` that it imports, inside functions too."""
    names = _imported_names(file.read_bytes())
    beside = {file.parent / f"{name}.py" for name in names} | {file.parent / "__init__.py"}
    return {other for other in beside if other.is_file()}


@lru_cache(maxsize=256)
def _imported_names(code: bytes) -> frozenset[str]:
    """The last words of the modules that a module's code may import. Kept: what evaluates is many
    parts that import the same modules.
    """
    names = set()
    statements: list[ast.AST] = [ast.parse(code)]
    while statements:
        node = statements.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # "from package.module import name", and "from package import module".
            names.add((node.module or "").rpartition(".")[2])
            names |= {alias.name for alias in node.names}
        for block in _BLOCKS:  # not the expressions, which are most of a module and import nothing
            statements += getattr(node, block, ())
    return frozenset(names)
