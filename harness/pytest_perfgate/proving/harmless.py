"""Changes that change nothing: other names, another order, a copy of the code. They must stay
green.
"""

from __future__ import annotations

import ast
import random
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_perfgate.files import short_path
from pytest_perfgate.records.recipe import Recipe, RuntimeSpec, StepSpec, Suite

_COPIES = 10  # one harmless change in so many is in a copy of the project's code


@dataclass(frozen=True)
class Harmless:
    """One harmless change.

    Attributes:
        number: which one, from 0 on; it seeds what is drawn.
        kind: a name of `KINDS` or of `EDITS`.
    """

    number: int
    kind: str

    @property
    def name(self) -> str:
        """Its name, unlike any other's."""
        return f"{self.kind}_{self.number}"

    @property
    def copies(self) -> bool:
        """Whether it is in a copy of the project's code."""
        return self.kind in EDITS


def harmless_changes(count: int) -> list[Harmless]:
    """So many harmless changes of all kinds, the same ones every time."""
    kinds, edits = list(KINDS), list(EDITS)
    changes = []
    for number in range(count):
        turn, place = divmod(number, _COPIES)
        copied = place == _COPIES - 1
        kind = edits[turn % len(edits)] if copied else kinds[number % len(kinds)]
        changes.append(Harmless(number, kind))
    return changes


def changed(change: Harmless, suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    """The suite and the recipe after a harmless change that is in no code."""
    draw = random.Random(change.number)  # noqa: S311 - no secret
    return KINDS[change.kind](suite, recipe, draw)


def _rename(suite: Suite, recipe: Recipe, draw: random.Random) -> tuple[Suite, Recipe]:
    name = f"{recipe.name}_{draw.randrange(10**6)}"
    reference = name if recipe.is_reference else recipe.reference
    renamed = replace(recipe, name=name, reference=reference)
    return replace(suite, recipes={**suite.recipes, name: renamed}), renamed


def _reorder_recipes(suite: Suite, recipe: Recipe, draw: random.Random) -> tuple[Suite, Recipe]:
    return replace(suite, recipes=_shuffled(suite.recipes, draw)), recipe


def _reorder_options(suite: Suite, recipe: Recipe, draw: random.Random) -> tuple[Suite, Recipe]:
    runtime = RuntimeSpec(recipe.runtime.name, _shuffled(recipe.runtime.options, draw))
    chain = tuple(StepSpec(spec.name, _shuffled(spec.options, draw)) for spec in recipe.chain)
    return _placed(suite, replace(recipe, runtime=runtime, chain=chain))


def _reorder_budgets(suite: Suite, recipe: Recipe, draw: random.Random) -> tuple[Suite, Recipe]:
    budgets = tuple(draw.sample(recipe.budgets, len(recipe.budgets)))
    return _placed(suite, replace(recipe, budgets=budgets))


def _reorder_tables(suite: Suite, recipe: Recipe, draw: random.Random) -> tuple[Suite, Recipe]:
    return (
        replace(
            suite,
            data=_shuffled(suite.data, draw),
            input=_shuffled(suite.input, draw),
            output=_shuffled(suite.output, draw),
        ),
        recipe,
    )


def _rename_parent(suite: Suite, recipe: Recipe, draw: random.Random) -> tuple[Suite, Recipe]:
    """The recipe it is derived from has another name; what it inherits is resolved already."""
    if recipe.parent in {"", recipe.reference}:
        return _reorder_recipes(suite, recipe, draw)
    return _placed(suite, replace(recipe, parent=f"{recipe.parent}_{draw.randrange(10**6)}"))


def _placed(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    return replace(suite, recipes={**suite.recipes, recipe.name: recipe}), recipe


def _shuffled(table: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    return {key: table[key] for key in draw.sample(list(table), len(table))}


Kind = Callable[[Suite, Recipe, random.Random], tuple[Suite, Recipe]]

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "recipe_renamed": _rename,
        "recipes_reordered": _reorder_recipes,
        "options_reordered": _reorder_options,
        "budgets_reordered": _reorder_budgets,
        "tables_reordered": _reorder_tables,
        "parent_renamed": _rename_parent,
    }
)


# -- copies of the code --------------------------------------------------------------------


def _as_it_is(source: str, _: int) -> str:
    return source


def _comment(source: str, number: int) -> str:
    return f"{source.rstrip()}\n\n# harmless change {number}\n"


def _reformat(source: str, _: int) -> str:
    return ast.unparse(ast.parse(source)) + "\n"


def _unused_function(source: str, number: int) -> str:
    return f"{source.rstrip()}\n\n\ndef _unused_{number}():\n    return {number}\n"


def _without_docstrings(source: str, _: int) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        kinds = ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree) + "\n"


EDITS: Mapping[str, Callable[[str, int], str]] = MappingProxyType(
    {
        "copied": _as_it_is,
        "commented": _comment,
        "reformatted": _reformat,
        "function_added": _unused_function,
        "docstrings_removed": _without_docstrings,
    }
)
"""Edits of every Python file in a copy of the project."""


def copy_code(
    change: Harmless, suite: Suite, files: Iterable[str], root: Path
) -> tuple[Path, tuple[str, ...]]:
    """Copies what a recipe rests on to `root`, with a harmless edit of its Python files.

    Args:
        change: which edit.
        suite: whose file is copied too.
        files: names of the project's files, relative to its root; others are left where they are.
        root: of the copy, a folder that is there.

    Returns:
        The suite file in the copy, and the names of the files that were edited.
    """
    edit, edited = EDITS[change.kind], []
    suite_file = short_path(suite.file, suite.root)
    beside = [short_path(file, suite.root) for file in suite.folder.glob("recipes.lock")]
    for name in dict.fromkeys([suite_file, *beside, *files]):
        source, target = suite.root / name, root / name
        if Path(name).is_absolute() or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".py":
            shutil.copyfile(source, target)
            continue
        before = source.read_text(encoding="utf-8")
        after = edit(before, change.number)
        target.write_text(after, encoding="utf-8")
        if after != before:
            edited.append(name)
    return root / suite_file, tuple(edited)
