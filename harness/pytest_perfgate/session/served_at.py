"""A recipe behind an endpoint at another version of the code: whether its answers are that
version's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_perfgate import registry
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import Recipe

_PATH = re.compile(r"(?:^|(?<=[=:,]))/[^:,]*")
"""An absolute path as an argument, behind its option, or in a list of paths."""


def refuse_shared(ours: Recipe, theirs: Recipe, commit: str) -> None:
    """Check that two versions of a recipe are answered by a server each: one that runs already
    would be compared with itself.

    Raises:
        RecipeError: both name the same address, and neither starts a server there.
    """
    ends = [_end(recipe) for recipe in (ours, theirs)]
    if ends[0] is None or ends[0] != ends[1]:
        return
    raise RecipeError(
        f"the server at {ends[0][1]} runs already, and would answer for {commit}, too: nothing of "
        "the change would be measured; start one for each version, by runtime.start or "
        "runtime.image, or compare two addresses: pytest-perfgate ab"
    )


def refuse_foreign(recipe: Recipe, tree: CodeTree) -> None:
    """Check that the server of a recipe at another version is not started with the working tree's
    files.

    Raises:
        RecipeError: its command or its environment names one by an absolute path.
    """
    # What a commit does not hold, such as an environment in the folder, is that of both.
    foreign = next(
        (path for path in _paths(recipe) if tree.owns(path) and tree.here(path).exists()), ""
    )
    if foreign:
        raise RecipeError(
            f"its server at {tree.commit} would have the working tree's {foreign}: write paths of "
            "runtime.start and runtime.environment relative to the project's root"
        )


def _end(recipe: Recipe) -> tuple[str, ...] | None:
    """What tells an endpoint that runs already from others: its runtime, its address, and the
    model. None: it is none.
    """
    options = recipe.runtime.options
    if not registry.find(registry.RUNTIMES, recipe.runtime.name).endpoint:
        return None
    if options.get("start") or options.get("image"):
        return None
    model = (str(options.get(key, "")) for key in ("model", "version"))
    return recipe.runtime.name, str(options.get("url", "")).rstrip("/"), *model


def _paths(recipe: Recipe) -> Iterator[str]:
    options = recipe.runtime.options
    if not registry.find(registry.RUNTIMES, recipe.runtime.name).endpoint:
        return
    for text in (*options.get("start", ()), *dict(options.get("environment", {})).values()):
        yield from _PATH.findall(str(text))
