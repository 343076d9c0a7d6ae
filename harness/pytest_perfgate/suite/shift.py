"""Checks that a recipe which learns from data is judged where it came from and where it went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_perfgate import registry
from pytest_perfgate.metric import ALL_SETS, Metric, Over, Rule
from pytest_perfgate.records.recipe import VALIDATION, Budget, Recipe, Shift, StepSpec
from pytest_perfgate.records.robustness import is_corrupted
from pytest_perfgate.records.scope_rows import ShiftRecord
from pytest_perfgate.steps import Step
from pytest_perfgate.suite.tables import Place


def adapting(chain: Sequence[StepSpec]) -> tuple[str, ...]:
    """Names of the steps of a chain that learn from data: they train, or calibrate."""
    names = []
    for spec in chain:
        step: Step = registry.find(registry.STEPS, spec.name)
        options = step.Options.model_validate(dict(spec.options))
        if step.trains_with(options) or step.splits_with(options):
            names.append(spec.name)
    return tuple(dict.fromkeys(names))


def shift_record(shift: Shift | None, recipes: Iterable[Recipe]) -> ShiftRecord | None:
    """The shift of a suite, and the steps by which each of the recipes adapts; None for none."""
    if shift is None:
        return None
    adapted = {recipe.name: steps for recipe in recipes if (steps := adapting(recipe.chain))}
    return ShiftRecord(source=shift.source, target=shift.target, adapting=adapted)


def check_shift(
    place: Place,
    where: str,
    chain: Sequence[StepSpec],
    budgets: Sequence[Budget],
    metrics: Mapping[str, Metric],
    shift: Shift,
) -> None:
    """Check that a recipe with a budget on a score and a step that learns from data has budgets on
    a score of the source and of the target, so that neither a loss nor a gain is left out.

    Raises:
        RecipeError: one of the two sets has none.
    """
    steps = adapting(chain)
    scores = [metrics[one.metric] for one in budgets if metrics[one.metric].rule is Rule.IMAGES]
    if not steps or not scores:
        return
    # Scores of corrupted images say how a recipe bears fog, not what it gained or lost by adapting.
    plain = [metric for metric in scores if metric.scope or not is_corrupted(metric.name)]
    judged = {name for metric in plain for name in _sets_of(metric, shift)}
    for name, side in ((shift.source, "source"), (shift.target, "target")):
        if name in judged:
            continue
        shown = name or VALIDATION
        main = next(one for one in metrics.values() if one.rule is Rule.IMAGES)
        score = plain[0].score_name if plain else main.name
        raise place.error(
            f"it adapts by {', '.join(steps)}, and no budget is on a score of the {side} {shown!r}",
            f"{where}: budgets",
            valid="a score on the source and on the target of [suite.shift]",
            next_step=f'add {score} = {{ drop = 0.01, on = "{ALL_SETS}" }}, or a '
            f'budget on = "{shown}"',
        )


def _sets_of(metric: Metric, shift: Shift) -> Iterator[str]:
    """The sets whose scores a budget on a metric is about, "" for the validation images."""
    if metric.over is Over.ALL:
        yield from (shift.source, shift.target)
    elif metric.over is not Over.WORST and metric.over is not Over.SLICES:
        yield metric.of_set
