"""Which modules of a project some of its modules import, read from their source.

Python tells which modules are loaded, and not which of them a module needs. Import statements tell
it, those inside functions too. A module that imports by a name which it computes hides what it
needs, and so does one that is no Python source.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_COMPUTED = {
    *("import_module", "__import__", "entry_points", "exec", "eval"),
    *("run_path", "run_module", "spec_from_file_location"),
}
"""Calls by which a module may import what no statement names."""


def closure(roots: Iterable[str], files: Mapping[str, Path]) -> set[str] | None:
    """The modules among those of `files` (name to source) that the modules `roots` import, directly
    or not, with the packages that they lie in, `roots` included; None where it cannot be told.
    """
    reached: set[str] = set()
    waiting = [name for root in roots for name in _with_packages(root)]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in files:
            continue
        reached.add(name)
        imported = _imported(name, files[name])
        if imported is None:
            return None
        waiting += [outer for other in imported for outer in _with_packages(other)]
    return reached


def _imported(name: str, file: Path) -> set[str] | None:
    """What the import statements of a module may name, modules or not."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = _package(name, file, node.level)
            base = ".".join(filter(None, (package, node.module)))
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif _called(node) in _COMPUTED:
            return None
    return names


def _package(name: str, file: Path, level: int) -> str:
    """The package that a relative import of so many dots begins at; "" for an absolute one."""
    if not level:
        return ""
    parts = name.split(".")
    up = level - 1 if file.stem == "__init__" else level
    return ".".join(parts[: len(parts) - up])


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Name | ast.Attribute):
        return ""
    return node.id if isinstance(node, ast.Name) else node.attr


def _with_packages(name: str) -> Iterator[str]:
    """A module's name, and those of the packages that it lies in."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def sources() -> dict[str, Path]:
    """The source of each loaded module that has one, by the module's name."""
    loaded = ((name, getattr(module, "__file__", None)) for name, module in [*sys.modules.items()])
    return {
        name: Path(file) for name, file in loaded if isinstance(file, str) and file.endswith(".py")
    }
