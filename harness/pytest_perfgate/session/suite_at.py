"""A suite at another version of the code: which recipes are there, and why others are not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import PerfgateError, RecipeError
from pytest_perfgate.files import short_path
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.measure.untracked_inputs import Brought, bring
from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.session.fetched_suites import other_content
from pytest_perfgate.session.served_at import refuse_foreign, refuse_shared
from pytest_perfgate.suite import reading


@dataclass(frozen=True)
class BaseTree:
    """The other version of the code: which it is, where it lies, and what interprets it.

    Attributes:
        packages: what differs from this session's, in words, where it has its own interpreter.
        is_working: whether it is the working tree, under other packages.
        brought: what was taken from the working tree already, None: it has to be.
        built: recipe name to the links that another machine has built of it.
    """

    commit: Commit
    root: Path
    python: str = ""
    packages: tuple[str, ...] = ()
    is_working: bool = False
    brought: Brought | None = None
    built: Mapping[str, BuiltLinks] = field(default_factory=dict)


class SuiteAt:
    """A suite of the working tree, as it is at another version of the code.

    Args:
        suite: the working tree's.
        tree: the other version.
        fetch: gives a suite with what it names in stores.

    Attributes:
        notes: what people should know of its files.
        problem: why none of its recipes can be measured there, "" where they can.
    """

    def __init__(self, suite: Suite, tree: BaseTree, fetch: Callable[[Suite], Suite]) -> None:
        self._suite = suite
        self._tree = tree
        self._fetch = fetch
        self.notes: list[str] = []
        self.problem = ""
        self._read = self._read_there()

    def _read_there(self) -> reading.SuiteFile | None:
        suite, tree = self._suite, self._tree
        if tree.is_working:
            return self._with_files(reading.read(suite.file, suite.root))
        file = tree.root / short_path(suite.folder, suite.root) / suite.file.name
        if not file.is_file():
            self.problem = f"the suite does not exist at {tree.commit.name}"
            return None
        brought = tree.brought or bring(suite, file.parent, code_tree(tree))
        if brought.problem:
            self.problem = brought.problem
            return None
        if brought.names:
            self.notes.append(
                "files that git does not track, taken from the working tree for "
                f"{tree.commit.name}: {', '.join(brought.names)}"
            )
        if brought.outside:
            self.notes.append(
                f"files outside the repository, the same for {tree.commit.name}: "
                + ", ".join(brought.outside)
            )
        read = self._with_files(reading.read(file, tree.root, code_tree(tree)))
        if read.suite is None and not self.problem:
            first = read.suite_problems[0].problem
            self.problem = f"its suite file cannot be read at {tree.commit.name}: {first}"
        return read

    def _with_files(self, read: reading.SuiteFile) -> reading.SuiteFile:
        """With what the suite names in stores, by the lock file of that version."""
        if read.suite is None:
            return read
        name = self._tree.commit.name
        try:
            suite = self._fetch(read.suite)
        except PerfgateError as error:
            self.problem = f"its files cannot be fetched at {name}: {error.problem}"
            return replace(read, suite=None, suite_problems=(error,))
        self.notes += other_content(self._suite, suite, name)
        return replace(read, suite=suite)

    def arm(self, name: str, label: str, values: Mapping[str, Any]) -> Arm:
        """The recipe `name` at this version of the code, as an arm; `values` fill its ranges.

        Raises:
            RecipeError: there is no such recipe, it cannot be read, or its server would be the
                working tree's.
        """
        read, commit = self._read, self._tree.commit.name
        if self.problem or read is None or read.suite is None:
            raise RecipeError(self.problem)
        recipe = read.suite.recipes.get(name)
        if recipe is None:
            problems = read.problems.get(name)
            if problems:
                raise RecipeError(f"the recipe cannot be read at {commit}: {problems[0].problem}")
            raise RecipeError(f"there is no recipe {name!r} at {commit}")
        refuse_shared(self._suite.recipes[name], recipe, commit)
        if read.suite.tree is not None:
            refuse_foreign(recipe, read.suite.tree)
        suite = replace(read.suite, import_path=self._suite.import_path)
        if recipe.search is not None:
            try:
                recipe = reading.filled(read, self._tree.root, name, values)
            except PerfgateError as error:
                raise RecipeError(
                    f"its ranges at {commit} do not allow the values of the working tree's "
                    f"search: {error.problem}"
                ) from error
        built = self._tree.built.get(name)
        if built is not None and built.failure is not None:
            raise RecipeError(built.failure.problem)
        recipe = replace(recipe, built=built)
        suite = replace(suite, recipes={**suite.recipes, name: recipe})
        return Arm(label, suite, recipe, python=self._tree.python or sys.executable)


def code_tree(tree: BaseTree) -> CodeTree:
    """The version's files: its root lies as far below their top as the project's does."""
    depth = len(Path(tree.commit.prefix).parts)
    top = tree.root.parents[depth - 1] if depth else tree.root
    commit = tree.commit
    return CodeTree(top, commit.top.resolve(), commit.name, commit.commit)
