"""Records of what a session could not measure: a whole suite, or recipes that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.recipe_record import Failure, RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.suite.metrics import metrics_of, own_metrics
from pytest_perfgate.suite.reading import SuiteFile

BROKEN = "recipe"
"""The test of a recipe that cannot be read."""


def unread(
    read: SuiteFile, wanted: Mapping[str, Sequence[str]]
) -> list[tuple[RecipeRecord, Verdict]]:
    """Records and verdicts of the recipes of `wanted` that could not be read; of the suite, with
    the name "", where none could.
    """
    problems = dict(read.problems) if read.suite is not None else {"": read.suite_problems}
    return [
        _unread(name, errors, wanted[name]) for name, errors in problems.items() if name in wanted
    ]


def _unread(
    name: str, errors: Sequence[PerfgateError], metrics: Sequence[str]
) -> tuple[RecipeRecord, Verdict]:
    text = "\n".join(
        f"{error.where}: {error.problem}" + (f" (valid: {error.valid})" if error.valid else "")
        for error in errors
    )
    steps = [error.next_step for error in errors if error.next_step]
    failure = Failure(stage="recipe", problem=text, next_step=steps[0] if steps else "")
    return (
        RecipeRecord(name=name or "recipes.toml", reference="", failure=failure),
        error_verdict(name, metrics[0], "", failure),
    )


def unread_suite(read: SuiteFile, root: Path, wanted: Mapping[str, Sequence[str]]) -> SuiteRecord:
    """The record of a suite of which nothing that is wanted could be read."""
    broken = unread(read, wanted)
    return SuiteRecord(
        name=read.file.parent.name,
        folder=short_path(read.file.parent, root),
        task="",
        model="",
        recipes=tuple(record for record, _ in broken),
        verdicts=tuple(verdict for _, verdict in broken),
    )


def failed_suite(
    read: SuiteFile, root: Path, wanted: Mapping[str, Sequence[str]], error: PerfgateError
) -> SuiteRecord:
    """The record of a suite whose measurement failed as a whole: every budget is ERROR, for one
    reason. Recipes that could not be read keep their own.
    """
    return _unmeasured(read, root, wanted, error, Status.ERROR)


def suite_without_machine(
    read: SuiteFile, root: Path, wanted: Mapping[str, Sequence[str]], error: PerfgateError
) -> SuiteRecord:
    """The record of a suite whose target is a machine that this session has not."""
    return _unmeasured(read, root, wanted, error, Status.NO_MACHINE)


def _unmeasured(
    read: SuiteFile,
    root: Path,
    wanted: Mapping[str, Sequence[str]],
    error: PerfgateError,
    status: Status,
) -> SuiteRecord:
    if read.suite is None:
        return unread_suite(read, root, wanted)
    reason = f"{error.where}: {error.problem}" if error.where else error.problem
    failure = Failure(stage="suite", problem=reason, next_step=error.next_step)
    recipes = [name for name in read.suite.recipes if name in wanted]
    broken = unread(read, wanted)
    return SuiteRecord(
        name=read.suite.name,
        folder=short_path(read.suite.folder, root),
        task=read.suite.task,
        model=str(read.suite.model),
        own_metrics=own_metrics(read.suite.task),
        scopes=read.suite.scopes,
        failure=failure,
        recipes=(
            *(_without_values(read.suite, name, failure) for name in recipes),
            *(record for record, _ in broken),
        ),
        verdicts=(
            *_verdicts(read.suite, {name: wanted[name] for name in recipes}, failure, status),
            *(verdict for _, verdict in broken),
        ),
    )


def _without_values(suite: Suite, name: str, failure: Failure) -> RecipeRecord:
    recipe = suite.recipes[name]
    return RecipeRecord(
        name=name, reference=recipe.reference, parent=recipe.parent, failure=failure
    )


def _verdicts(
    suite: Suite, wanted: Mapping[str, Sequence[str]], failure: Failure, status: Status
) -> list[Verdict]:
    metrics = metrics_of(suite.task, suite.scopes)
    units = {name: metric.unit.value for name, metric in metrics.items()}
    return [
        error_verdict(recipe, metric, units.get(metric, ""), failure, status)
        for recipe, names in wanted.items()
        for metric in dict.fromkeys(names)
    ]


def error_verdict(
    recipe: str,
    metric: str,
    unit: str,
    cause: Failure | PerfgateError,
    status: Status = Status.ERROR,
) -> Verdict:
    """The verdict on a budget that could not be measured; `unit` may be "" where it is unknown."""
    return Verdict(
        recipe=recipe,
        metric=metric,
        status=status,
        unit=unit,
        reason=cause.problem,
        next_step=cause.next_step,
    )
