"""Whether a reference's accuracy can be that of a working model, and what to write if not.

Where it is suspicious, other options of input and output are tried (`reference_trial`). One that
scores better beyond noise makes the reference an ERROR; nothing is changed by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.metric import Better
from pytest_perfgate.records.accuracy import Accuracy, Doubt
from pytest_perfgate.records.recipe import VALIDATION, LimitKind, Recipe
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.units import count_of
from pytest_perfgate.worker.reference_trial import Trial, spread

POOR = 0.5
"""A main score below it is suspicious: many good models have such scores, and others have them
because colours, sizes or padding are declared wrongly."""

_SAMPLES = 8  # images whose outputs are looked at

_UNEXPLAINED = (
    "compare [suite.input] and [suite.output] with what the network was trained on: size, mean and "
    "std, colour order, decoder, order of the classes"
)


def doubt_of(
    data: SuiteData,
    session: InferenceSession,
    predictions: Sequence[Any],
    accuracy: Accuracy,
    tell: Callable[[], None] = lambda: None,
) -> tuple[Doubt | None, bool]:
    """Why the accuracy cannot be that of a working model, with the likely cause as the next step
    (None: it can be); and whether alternatives were tried, which costs seconds: `tell` hears of
    every inference.
    """
    samples = []
    for image in data.images(VALIDATION, spread(len(predictions), _SAMPLES)):
        inputs, meta = data.pipeline.preprocess([image])
        samples.append((session.run(inputs), meta))
    trial = Trial(data, session, len(predictions), tell, predictions)
    doubt = data.task.doubt_outputs(samples, data.output)
    if doubt is not None:
        return _explained(doubt, trial), True
    doubt = data.task.doubt(data.split(VALIDATION), predictions, accuracy, data.output)
    if doubt is not None:
        return (_reordered(doubt, trial) if doubt.next_step else _explained(doubt, trial)), True
    odd = data.task.odd_outputs(samples, data.output)
    if not odd and not _is_poor(data, accuracy):
        return None, False
    return doubt_by_trial(trial, odd), True


def doubt_by_trial(trial: Trial, odd: str = "") -> Doubt | None:
    """The doubt about scores that are no worse than some models have: None, unless an alternative
    is better beyond noise. `odd` is what is odd about the outputs.
    """
    finding = trial.finding()
    if finding is None or not finding.certain:
        return None
    problem = (
        odd or f"{finding.metric} is {finding.declared:.4f} on {count_of(finding.images, 'image')}"
    )
    return Doubt(problem=problem, next_step=str(finding))


def below_minimum(data: SuiteData, recipe: Recipe, accuracy: Accuracy) -> bool:
    """Whether a score of the recipe breaks a limit of its own, `min` or `max`."""
    for budget in recipe.budgets:
        metric = data.task.metrics.get(budget.metric)
        if metric is None or budget.metric not in accuracy.values:
            continue
        value = accuracy.values[budget.metric]
        for limit in budget.limits:
            if limit.kind is LimitKind.MIN and value < limit.value:
                return True
            if limit.kind is LimitKind.MAX and value > limit.value:
                return True
    return False


def _is_poor(data: SuiteData, accuracy: Accuracy) -> bool:
    name, metric = next(iter(data.task.metrics.items()))
    return metric.better is Better.HIGHER and accuracy.values.get(name, 1.0) < POOR


def _explained(doubt: Doubt, trial: Trial) -> Doubt:
    """The doubt with the alternative that scores far better as its next step."""
    finding = trial.finding()
    cause = str(finding) if finding is not None and finding.is_large else ""
    return doubt.model_copy(update={"next_step": cause or doubt.next_step or _UNEXPLAINED})


def _reordered(doubt: Doubt, trial: Trial) -> Doubt:
    """A doubt about the order of the classes. Colours in another order confuse classes too, where
    these differ by colour: both are named then.
    """
    finding = trial.finding()
    if finding is None or not finding.certain:
        return doubt
    problem = f"{finding.metric} is {finding.declared:.4f}, and classes are taken for each other"
    step = f"{finding}; or, where the classes' order is another one, {doubt.next_step}"
    return Doubt(problem=problem, next_step=step)
