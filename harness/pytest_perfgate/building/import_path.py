"""Where a worker imports the project from: the version of the code that its arm is of.

The working tree is on the import path in many ways: editable installs, PYTHONPATH, pytest's
`pythonpath`. At another version every module of the project comes from that version's own tree, by
its origin, or the import is an error: an arm that ran the working tree's code would compare it with
itself.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from pytest_perfgate.errors import BuildError
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import Suite

_TOOL = __name__.partition(".")[0]


def enter(suite: Suite) -> None:
    """Puts the suite's root and import path first; for another version of the code than the working
    tree's, keeps imports to it, also those of programs that this process starts.
    """
    if suite.tree is not None:
        os.environ["PYTHONPATH"] = _of_programs(sys.path, suite.tree, suite.root)
    sys.path[:0] = [str(suite.root), *map(str, suite.import_path)]
    if suite.tree is not None:
        sys.path[:] = _of_tree(sys.path, suite.tree)
        sys.meta_path.insert(0, _Keeper(suite.tree, suite.root))
        importlib.invalidate_caches()


def _of_tree(paths: Sequence[str], tree: CodeTree) -> list[str]:
    """An import path on which each folder of the working tree stands behind the tree's own.

    It stays there for the metadata of installed extensions, which no commit holds.
    """
    kept: dict[str, None] = {}
    for path in paths:
        if tree.owns(path or Path.cwd()):
            kept[str(tree.here(path or Path.cwd()))] = None
        kept[path] = None
    return list(kept)


def _of_programs(paths: Sequence[str], tree: CodeTree, root: Path) -> str:
    """PYTHONPATH of programs such as a recipe's server, which have no `_Keeper`: the tree's own
    folder for each of the working tree's on the import path, by a variable or an editable install.
    What the variable had besides stays.
    """
    own = [tree.here(path) for path in paths if path and tree.owns(path)]
    # Of an editable install by a finder nothing is on the path.
    folders = [str(path) for path in (*own, *_sources(tree, root)) if path.is_dir()]
    rest = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [path for path in rest if path and not tree.owns(path)]
    return os.pathsep.join(dict.fromkeys([*folders, *rest]))


def _sources(tree: CodeTree, root: Path) -> list[Path]:
    """Where a version of the project may have its packages, besides its top."""
    return [root / "src", tree.top / "src"]


class _Keeper:
    """A finder that comes before all others: it takes what they find from the tree."""

    def __init__(self, tree: CodeTree, root: Path) -> None:
        self._tree = tree
        self._places = _sources(tree, root)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module in the tree.

        Raises:
            BuildError: only the working tree has it, or an installed copy hides the tree's own.
        """
        if name.partition(".")[0] == _TOOL:  # this program, where it is itself the project
            return None
        for finder in [finder for finder in sys.meta_path if finder is not self]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return self._kept(spec)
        return None

    def _kept(self, spec: ModuleSpec) -> ModuleSpec:
        locations = list(spec.submodule_search_locations or ())
        if spec.has_location and spec.origin is not None:
            if self._tree.owns(spec.origin):
                return self._moved(spec, spec.origin)
            self._refuse_copy(spec, spec.origin)
        elif any(map(self._tree.owns, locations)):  # a package of folders without __init__.py
            own = _of_tree(locations, self._tree)
            existing = [p for p in own if not self._tree.owns(p) and Path(p).is_dir()]
            if not existing:
                raise self._refused(spec.name, locations[0])
            moved = ModuleSpec(spec.name, None, is_package=True)
            moved.submodule_search_locations = existing
            return moved
        return spec

    def _moved(self, spec: ModuleSpec, origin: str) -> ModuleSpec:
        file = self._tree.here(origin)
        locations = None if spec.submodule_search_locations is None else [str(file.parent)]
        moved = None
        if file.is_file():
            moved = spec_from_file_location(spec.name, file, submodule_search_locations=locations)
        if moved is None:
            raise self._refused(spec.name, origin)
        return moved

    def _refuse_copy(self, spec: ModuleSpec, origin: str) -> None:
        """A copy of the project that is installed, not editable, is the same for every version."""
        if "." in spec.name or "site-packages" not in Path(origin).parts:
            return
        for place in self._places:
            if (place / spec.name / "__init__.py").is_file() or (
                place / f"{spec.name}.py"
            ).is_file():
                raise self._refused(spec.name, origin)

    def _refused(self, name: str, origin: str) -> BuildError:
        return BuildError(
            f"the base would run the working tree's code: the module {name!r} comes from {origin}, "
            f"and not from {self._tree.commit}",
            next_step="commit it; for an installed copy: pip install -e ., or pythonpath in "
            "pytest's configuration; for compiled code: --perf-base-env=PROGRAM of "
            "an environment that has the base's build",
        )
