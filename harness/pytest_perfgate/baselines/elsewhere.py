"""Where else baselines of a recipe are stored: another machine's, or of another root."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.baselines.store import Store, read_file
from pytest_perfgate.errors import BaselineError, PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.machine.fingerprint import Environment, Machine, differences, unlike
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.recipe_spec import spec_digest, spec_of
from pytest_perfgate.records.settings import SUITE_FILE

_SHOWN = 6  # differences


@dataclass(frozen=True)
class Here:
    """Where a session runs: what its baselines are looked up by, and compared with."""

    machine: Machine
    environment: Environment


def why_none(store: Store, suite: Suite, recipe: str, here: Here) -> str:
    """What is stored in place of a recipe's baseline, in words; "" when nothing is."""
    for folder in _other_folders(store, suite):
        if Store(folder).path(here.machine.id, suite.title, recipe).is_file():
            below = short_path(folder, suite.root)
            return (
                f"{below} has a baseline of this machine: start pytest in "
                f"{short_path(folder.parent, suite.root)}, or pass --perf-baselines={below}"
            )
    if suite.target and store.path(here.machine.id, suite.name, recipe).is_file():
        return (
            f"{suite.name} without a target has a baseline of this machine; {suite.title} has one "
            "of its own: pytest --perf --perf-update stores it"
        )
    if old := _renamed(store, suite, recipe, here):
        return (
            f"renamed? {old!r} has a baseline of this machine, and the suite has it no longer: "
            f"pytest-perfgate baselines rename {suite.title}/{old} {recipe}"
        )
    nearest = min(
        _of_other_machines(store, suite.title, recipe),
        key=lambda baseline: (
            len(unlike(baseline.machine, here.machine)),
            baseline.age_days(datetime.now(UTC)),
        ),
        default=None,
    )
    if nearest is None:
        return ""
    lines = [
        *unlike(nearest.machine, here.machine),
        *differences(nearest.environment, here.environment),
    ]
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return (
        f"the nearest baseline is of {nearest.machine.id}, and not compared: "
        f"{'; '.join(lines[:_SHOWN])}{more}"
    )


def _renamed(store: Store, suite: Suite, recipe: str, here: Here) -> str:
    """The name that a recipe may have had: that of a baseline of this machine without a recipe. The
    one of the same steps and runtime where there is one, else the only one; "" for none.
    """
    known = suite.recipes.get(recipe)
    if known is None:
        return ""
    spec = spec_digest(RecipeRecord(name=recipe, reference="", spec=spec_of(known)))
    folder = store.path(here.machine.id, suite.title, recipe).parent
    declared = _declared(suite.file)
    left: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")):
        if file.stem in declared:
            continue
        try:
            left[file.stem] = read_file(file).spec
        except PerfgateError:
            continue
    alike = [name for name, digest in left.items() if digest == spec] or list(left)
    return alike[0] if len(alike) == 1 else ""


def _declared(file: Path) -> set[str]:
    """Names of the recipes that a suite file has, those that cannot be read included."""
    recipes = tomllib.loads(file.read_text(encoding="utf-8")).get("recipe", [])
    return {str(recipe.get("name", "")) for recipe in recipes if isinstance(recipe, dict)}


def check_folder(baseline: Baseline, folder: Path, root: Path) -> None:
    """Checks that a baseline is not of another suite of the same name.

    Raises:
        BaselineError: it is of a suite in another folder, which is still there.
    """
    other = baseline.folder
    if other and other != short_path(folder, root) and (root / other / SUITE_FILE).is_file():
        raise BaselineError(
            f"the baseline is of the suite in {other}, which has the name {baseline.suite!r} too",
            where=short_path(folder / SUITE_FILE, root),
            valid='a name of its own for each suite: [suite] name = "..."',
            next_step=f"name one of them; baselines are stored as MACHINE/{baseline.suite}/RECIPE",
        )


def _of_other_machines(store: Store, suite: str, recipe: str) -> Iterator[Baseline]:
    for file in store.files():
        if file.parts[-2:] == (suite, f"{recipe}.json"):
            try:
                yield read_file(file)
            except PerfgateError:
                continue  # no machine of it is known; whoever runs there is told


def _other_folders(store: Store, suite: Suite) -> Iterator[Path]:
    """Folders of baselines between the suite and the top of its repository: pytest's root was
    another when they were written.
    """
    for folder in (suite.folder, *suite.folder.parents):
        candidate = folder / store.root.name
        if candidate != store.root and candidate.is_dir():
            yield candidate
        if (folder / ".git").exists():
            return
