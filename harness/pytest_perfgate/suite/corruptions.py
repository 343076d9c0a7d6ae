"""Reads `[suite.corruptions]`: which corruptions the task takes, and which metrics they give."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_perfgate.corruptions import MEANINGS, MOVING, NAMES, SEVERITIES
from pytest_perfgate.errors import suggestion
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.records.recipe import Corruptions, Recipe
from pytest_perfgate.records.robustness import ROBUSTNESS, score_under
from pytest_perfgate.suite.tables import CorruptionsTable, Place
from pytest_perfgate.tasks import Task
from pytest_perfgate.units import count_of

_WHERE = "suite.corruptions"
_UNDECLARED = "Not measured without `[suite.corruptions]`."


def read_corruptions(
    place: Place, table: CorruptionsTable | None, task: Task
) -> Corruptions | None:
    """The corruptions of a suite's validation images; None for none.

    Raises:
        RecipeError: the task takes no corruption, or not this one; or a severity is none.
    """
    if table is None:
        return None
    if not task.corruptions:
        raise place.error(f"the task {task.name!r} takes no corruptions", _WHERE)
    names = list(task.corruptions) if table.names is None else table.names
    for index, name in enumerate(names):
        if name in task.corruptions and name not in names[:index]:
            continue
        problem = f"{name!r} is no corruption"
        if name in names[:index]:
            problem = f"{name!r} stands there twice"
        elif name in MOVING:
            problem = (
                f"{name!r} moves objects, and the truth of the task {task.name!r} says where they "
                "are"
            )
        raise place.error(
            problem, f"{_WHERE}.names[{index}]", valid=suggestion(name, task.corruptions)
        )
    for index, severity in enumerate(table.severities):
        if severity not in SEVERITIES or severity in table.severities[:index]:
            raise place.error(
                f"{severity} is no severity, or stands there twice",
                f"{_WHERE}.severities[{index}]",
                valid=", ".join(map(str, SEVERITIES)),
            )
    ordered = tuple(name for name in NAMES if name in names)
    return Corruptions(ordered, tuple(sorted(table.severities)), table.seed, table.images)


def corruption_metrics(task: Task) -> Mapping[str, Metric]:
    """The metrics of a task's scores under corruptions; none for a task that takes none."""
    if not task.corruptions:
        return {}
    main = next(iter(task.metrics))
    return by_name(
        Metric.score(
            ROBUSTNESS,
            f"Mean over the suite's corruptions of the share of {main} that is kept: {main} of "
            "corrupted validation images, the mean over severities, divided by that of the same "
            f"images without corruption. {_UNDECLARED}",
            optional=True,
        ),
        *(
            Metric.score(
                score_under(main, name),
                f"{main} of validation images with {MEANINGS[name]}; the mean over the suite's "
                f"severities. {_UNDECLARED}",
                optional=True,
            )
            for name in task.corruptions
        ),
    )


def check_budgets(
    place: Place, recipe: Recipe, task: Task, corruptions: Corruptions | None
) -> None:
    """Check that the suite declares what the recipe's budgets on corrupted images need.

    Raises:
        RecipeError: it does not; names the budget and the table to write.
    """
    declared = corruptions.names if corruptions else ()
    main = next(iter(task.metrics))
    measured = {score_under(main, name): name for name in task.corruptions}
    for budget in recipe.budgets:
        name = measured.get(budget.metric, "")
        if budget.metric == ROBUSTNESS and task.corruptions and not declared:
            step = "add an empty table [suite.corruptions] for all corruptions of the task"
        elif name and name not in declared:
            step = f'[suite.corruptions] names = ["{name}"]'
        else:
            continue
        raise place.error(
            f"{budget.metric} is of corrupted images, and the suite does not declare them",
            f"recipe {recipe.name!r}: budgets.{budget.metric}",
            next_step=step,
        )


def cost_of(corruptions: Corruptions) -> str:
    """What the corruptions of a suite cost, a line for people."""
    severities = corruptions.severities
    times = count_of(len(corruptions.names) * len(severities), "more time")
    images = f"{corruptions.images} validation images" if corruptions.images else "all images"
    word = "severity" if len(severities) == 1 else "severities"
    return (
        f"{count_of(len(corruptions.names), 'corruption')}, {word} "
        f"{', '.join(map(str, severities))}: "
        f"each recipe is evaluated {times} on {images}, unless the cache has it"
    )
