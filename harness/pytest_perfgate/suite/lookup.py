"""Finds a recipe by its name in the suite files below a folder."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_perfgate.errors import RecipeError, suggestion
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.settings import SUITE_FILE
from pytest_perfgate.suite import reading


def suite_files(folder: Path) -> list[Path]:
    """Suite files in and below a folder, in order; hidden folders are left out: the cache holds
    trees of other commits.
    """
    files: list[Path] = []
    for parent, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        if SUITE_FILE in names:
            files.append(Path(parent, SUITE_FILE))
    return sorted(files)


def find(
    name: str, root: Path, folder: Path, *, command: str = "pytest-perfgate explain"
) -> tuple[Suite, Recipe]:
    """The recipe `name`, or "suite/recipe", in the suite files below `folder`.

    Raises:
        RecipeError: there is none of that name, more than one, or it has errors.
    """
    suite_name, _, wanted = name.rpartition("/")
    matches, known = [], []
    files = [folder / SUITE_FILE] if (folder / SUITE_FILE).is_file() else []
    for file in files or suite_files(folder):
        read = reading.read(file, root)
        title = read.suite.name if read.suite else file.parent.name
        if suite_name not in {"", title}:
            continue
        problems = read.problems.get(wanted) or (() if read.suite else read.suite_problems)
        if problems:
            raise problems[0]
        if read.suite is not None:
            known += [f"{title}/{recipe}" for recipe in read.suite.recipes]
            if wanted in read.suite.recipes:
                matches.append((read.suite, read.suite.recipes[wanted]))
    if not matches:
        raise RecipeError(
            f"there is no recipe {name!r}",
            where=str(folder),
            valid=suggestion(name, known) if known else "",
            next_step=f"{command} RECIPE --suites DIR",
        )
    if len(matches) > 1:
        listed = ", ".join(f"{suite.name}/{wanted}" for suite, _ in matches)
        raise RecipeError(f"there are several recipes {name!r}", valid=listed)
    return matches[0]
