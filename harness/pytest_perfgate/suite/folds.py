"""Reads the folds of a recipe: how many, and the data that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.metric import OVER_FOLDS
from pytest_perfgate.records.recipe import FoldSpec, StepSpec
from pytest_perfgate.steps import Step
from pytest_perfgate.suite.tables import FoldsTable, Place
from pytest_perfgate.tasks import Task


def read_folds(
    place: Place,
    where: str,
    written: int | FoldsTable | None,
    chain: Sequence[StepSpec],
    budgets: Iterable[str],
    task: Task,
) -> FoldSpec | None:
    """The folds that stand in a recipe; None for none.

    Raises:
        RecipeError: the task's data cannot be taken apart, no step trains, steps train with
            several splits, or a budget is on a score over folds that the recipe has not.
    """
    over = next((name for name in budgets if name.endswith(OVER_FOLDS)), None)
    if written is None:
        if over is None:
            return None
        raise place.error(
            f"{over} is a score over folds, and the recipe has none",
            f"{where}: budgets.{over}",
            next_step="add folds = 5 to the recipe",
        )
    key = f"{where}: folds"
    table = FoldsTable(count=written) if isinstance(written, int) else written
    if table.by and not IMPORT_PATH.fullmatch(table.by):
        raise place.error(
            f"{table.by!r} is not an import path", f"{key}.by", valid='"package.module:function"'
        )
    if type(task).part is Task.part:
        raise place.error(
            f"data of the task {task.name!r} cannot be taken apart: its class has no `part`",
            key,
            valid="a task of pytest-perfgate, all of which have it, or one with a method `part`",
            next_step="add `part(self, data, rows)` to the class of the task, which gives the data "
            "of some images, or leave folds out of the recipe",
        )
    splits = sorted({split for spec in chain for split in _trained_with(spec)})
    if len(splits) != 1:
        raise place.error(
            f"steps train with {', '.join(splits)}" if splits else "no step of the recipe trains",
            key,
            valid="steps that train, with one split",
            next_step="leave folds out of the recipe",
        )
    return FoldSpec(table.count, splits[0], table.by)


def _trained_with(spec: StepSpec) -> frozenset[str]:
    """The splits that a step trains with."""
    step: Step = registry.find(registry.STEPS, spec.name)
    options = step.Options.model_validate(dict(spec.options))
    return step.splits_with(options) if step.trains_with(options) else frozenset()
