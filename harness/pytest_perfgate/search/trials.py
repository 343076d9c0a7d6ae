"""What a set of values comes to: built, evaluated, and measured beside the reference for a moment.

The same rooms build, evaluate and judge as for every recipe. A trial's times only say what to try
next and what wins: the verdicts are on the winner, measured anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.metric import PARITY, Better, Metric, Rule
from pytest_perfgate.records.launch_values import PEAKS, level
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind, Recipe, SearchSpec, Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.search import Trial
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.units import Unit, show, show_percent
from pytest_perfgate.verdicts.conditions import why_not
from pytest_perfgate.verdicts.evidence import Evidence, Risk
from pytest_perfgate.verdicts.judge import bound_of, judge
from pytest_perfgate.verdicts.limit_bounds import log_ratios

_OF_BATCHES = frozenset({"throughput", *PEAKS})

_SHOWN = {Unit.SECONDS, Unit.IMAGES_PER_SECOND, Unit.BYTES}

LAUNCHES = 2  # of a trial: enough to say which of two is faster by some percent


@dataclass(frozen=True)
class Goal:
    """What a search is for: the metric that becomes as good as it can, and what holds it.

    Attributes:
        metric: a time, a rate, or a score of a further validation set.
        score: the task's main metric, which is shown beside it.
        budgets: the others that a trial tells of, without what compares with a baseline.
    """

    metric: Metric
    score: Metric
    budgets: tuple[Budget, ...]


def goal_of(recipe: Recipe, metrics: Mapping[str, Metric], machine: Machine) -> Goal:
    """What a recipe's values are searched for, on this machine."""
    spec = recipe.search or SearchSpec((), 0)
    goal = metrics[spec.metric]
    held = []
    for budget in recipe.budgets:
        limits = tuple(limit for limit in budget.limits if limit.kind is not LimitKind.REGRESSION)
        if limits and _holds(metrics[budget.metric], goal) and not why_not(budget.when, machine):
            held.append(Budget(budget.metric, limits))
    return Goal(goal, next(iter(metrics.values())), tuple(held))


def _holds(metric: Metric, goal: Metric) -> bool:
    """Whether a budget on it holds a search: nothing that takes a long run of its own."""
    known = {Rule.IMAGES, Rule.EXACT, Rule.LAUNCHES}
    return metric.rule in known and metric is not goal


class Trials:
    """Measures the trials of one recipe, on a bench that has its reference.

    `trials` is how many there are at the most: the chance that a trial is taken to keep a budget
    that it does not is shared out over all of them, because the best of many is picked.
    """

    def __init__(
        self,
        bench: Bench,
        suite: Suite,
        goal: Goal,
        metrics: Mapping[str, Metric],
        alpha: float,
        trials: int,
    ) -> None:
        self._bench = bench
        self._suite = suite
        self._goal = goal
        self._metrics = metrics
        self._risk = Risk(fail=alpha, keep=Risk(alpha).keep / trials)

    def measure(
        self, number: int, values: dict[str, Any], fill: Callable[[], Recipe], note: str
    ) -> tuple[Trial, dict[str, str]]:
        """What became of these values, and the project's files that they were made of."""
        start = time.monotonic()

        def ended(**more: Any) -> Trial:
            seconds = round(time.monotonic() - start, 1)
            return Trial(number=number, values=values, seconds=seconds, **more)

        recipe = fill()
        label = f"{recipe.name}#{number}"
        pair = {recipe.reference: self._suite.recipes[recipe.reference], recipe.name: recipe}
        arm = Arm(label, replace(self._suite, recipes=pair), recipe, parity=self._parity())
        self._bench.add([arm])
        files = self._bench.files(label)
        if self._bench.alive([label]):
            metrics = {self._goal.metric.name, *(budget.metric for budget in self._goal.budgets)}
            both = [label, recipe.reference]
            # Scores and sizes are known already.
            known = all(self._metrics[name].rule in {Rule.IMAGES, Rule.EXACT} for name in metrics)
            for launch in range(0 if known else LAUNCHES):
                self._bench.launch(
                    [(label, recipe.reference)],
                    note,
                    batches=both if metrics & _OF_BATCHES else [],
                    energies=both if "energy" in metrics else [],
                    last=launch == LAUNCHES - 1,
                )
        record = self._bench.record(label)
        score = record.accuracy.values.get(self._goal.score.name) if record.accuracy else None
        if record.failure is not None:
            reason = f"{record.failure.stage}: {record.failure.problem}"
            return ended(reason=reason, score=score, built=False), files
        constraints, reasons = self._held(record)
        middle = level(record, self._goal.metric)
        ratio = self._ratio(record)
        if middle is None or ratio is None:
            reasons.append(f"{self._goal.metric.name} was not measured")
        return ended(
            level=middle,
            ratio=ratio,
            score=score,
            levels=self._levels(record),
            constraints=constraints,
            reason="; ".join(reasons),
        ), files

    def _levels(self, record: RecipeRecord) -> dict[str, float]:
        """What is told of a trial besides: all times, rates and memory that it was measured by."""
        levels = {}
        for metric in self._metrics.values():
            if metric.rule is Rule.LAUNCHES and metric.unit in _SHOWN:
                value = level(record, metric)
                if value is not None:
                    levels[metric.name] = float(f"{value:.6g}")
        return levels

    def _parity(self) -> float | None:
        """The limit on outputs' difference, None: no budget asks."""
        limits = [
            limit.value
            for budget in self._goal.budgets
            if budget.metric == PARITY
            for limit in budget.limits
        ]
        return min(limits, default=None)

    def _ratio(self, record: RecipeRecord) -> float | None:
        """Beside the reference in the same launches, of a score on the same images; less is
        better, whatever the metric's way (see `Trial.ratio`).
        """
        reference = self._bench.record(record.reference)
        if self._goal.metric.rule is Rule.IMAGES:
            ours, theirs = (level(one, self._goal.metric) for one in (record, reference))
            if ours is None or theirs is None:
                return None
            return ours - theirs if self._goal.metric.better is Better.LOWER else theirs - ours
        logs = log_ratios(self._goal.metric, record, reference)
        if not logs:
            return None
        ratio = math.exp(math.fsum(logs) / len(logs))
        return ratio if self._goal.metric.better is Better.LOWER else 1.0 / ratio

    def _held(self, record: RecipeRecord) -> tuple[dict[str, float], list[str]]:
        """How far every limit is away, above zero where it is not kept, and why it is not."""
        evidence = Evidence(
            record=record,
            reference=self._bench.record(record.reference),
            metrics=self._metrics,
        )
        distances, reasons = {}, []
        for budget in self._goal.budgets:
            metric = self._metrics[budget.metric]
            verdict = judge(budget, metric, evidence, self._risk, datetime.now(UTC))
            results: Sequence[LimitResult] = verdict.limits
            if not results:  # it was not measured: what is not measured is never kept
                distances[metric.name] = 1.0
                reasons.append(verdict.reason)
            for limit, result in zip(budget.limits, results, strict=False):
                kept, away = _kept(limit, metric, result)
                distances[f"{metric.name} {limit.kind.value}"] = -away if kept else max(away, 1e-9)
                if not kept:
                    reasons.append(_why(limit, metric, result))
        return distances, reasons


def _why(limit: Limit, metric: Metric, result: LimitResult) -> str:
    """Why a limit is not kept."""
    if metric.rule is not Rule.LAUNCHES or result.estimate is None:
        return result.reason
    ratio = result.scale == "ratio"
    text = show_percent(result.estimate - 1) if ratio else show(result.estimate, metric.unit)
    beside = " to the reference" if ratio else ""
    return f"{metric.name} is {text}{beside}: {limit.kind.value} {limit.text} is broken"


def _kept(limit: Limit, metric: Metric, result: LimitResult) -> tuple[bool, float]:
    """Whether a trial keeps a limit, and how far its estimate is from it.

    Scores and sizes are known as well as they will be, and have to be proven. Times and memory are
    known better by the verdict's launches: a trial of two goes by its estimate.
    """
    if result.estimate is None:
        return False, 1.0
    away = abs(result.estimate - result.limit)
    if metric.rule is not Rule.LAUNCHES:
        return result.status is Status.PASS, away
    bound, more_is_worse = bound_of(limit, metric)
    return (result.estimate <= bound) == more_is_worse or result.estimate == bound, away
