"""Bisection with noisy comparisons: measure some commits beside each other, weigh, choose the next.

Both ends are in every launch. That there is a step at all is proven by the signs of their
difference, whatever the noise (`stats.sequential`); which commit brought it is a posterior
(`stats.bisection`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.metric import PARITY, Better, Metric, Rule
from pytest_perfgate.records.launch_values import launch_ratio, level, log_value
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.stats import bisection, sequential
from pytest_perfgate.units import show, show_percent
from pytest_perfgate.versions.commit_bench import CommitBench, label_of
from pytest_perfgate.versions.commit_range import CommitRange

LEAST, LEAST_SCORE = 0.01, 0.001
"""The smallest step that is looked for: relative, and of scores."""

SURE = 0.98
"""The probability at which a commit is named."""

_LIKELY = 0.95  # of the commits that are named when the time is up
_ALPHA = 0.01  # that equal ends look different
_INTERVAL = 0.05  # of the intervals that are shown, and of "no step"
_STAGE = 2  # launches with the same arms: the second loads while the first measures
_ENDS_ONLY = 4  # launches of the ends, before commits between are built
_BETWEEN = 3  # commits between the ends in a launch
_LOOK = 2.0  # standard errors of the ends' difference from which on commits between are built
_ONCE_IS_SURE = 1000.0  # values that what is known of an exact metric's noise is worth
_SHARPER = 50.0  # times, an exact metric's step over its noise


@dataclass(frozen=True)
class Outcome:
    """What a bisection came to.

    Attributes:
        culprits: numbers of the commits in the range, oldest first, of which one is the first with
            the step; () when no step is proven.
        probability: that it is among them.
        change: the bad end over the good end less 1 (scores: less), with its 95 % interval.
        launches, seconds: spent on measuring.
        problems: commits that could not be measured, by their columns, with the reason.
        reason: why there is more than one culprit, or none.
    """

    culprits: tuple[int, ...]
    probability: float
    change: tuple[float, float, float]
    launches: int
    seconds: float
    problems: Mapping[int, str]
    reason: str = ""


class Bisection:
    """Finds the commit that moved one metric of one recipe.

    Args:
        values: of the recipe's ranges, by their places.
        show: called with progress, on one line.
    """

    def __init__(
        self,
        suite: Suite,
        recipe: str,
        metric: Metric,
        span: CommitRange,
        settings: Settings,
        show: Progress,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        check_metric(metric)
        self._recipe = recipe
        self._metric = metric
        self._span = span
        self._settings = settings
        self._show = show
        self._bench = CommitBench(suite, settings, show, {recipe: values or {}})
        self._last = len(span.commits)  # the column of the bad end
        self._built = {0, self._last}
        self._problems: dict[int, str] = {}
        self._between: list[int] = []
        self._launches = 0
        self._seconds = 0.0
        self._values: list[dict[int, float]] = []

    def run(self) -> Outcome:
        """Measures until a commit is named, no step is left, or the time is up.

        Raises:
            RecipeError: an end of the range cannot be measured.
            PerfgateError: every user of this machine can write to the cache.
        """
        with self._bench:
            self._build([0, self._last])
            self._check_ends()
            while True:
                self._measure()
                outcome = self.outcome()
                if self._is_decided(outcome):
                    return outcome
                if self._metric.rule is Rule.LAUNCHES and self._seconds >= self._settings.seconds:
                    return outcome
                before = list(self._between)
                self._choose()
                if self._metric.rule is not Rule.LAUNCHES and self._between == before:
                    return outcome

    def outcome(self) -> Outcome:
        """What is known by now."""
        ends = [launch[self._last] for launch in self._values if self._last in launch]
        change, proven = self._change(ends)
        nothing = Outcome(
            culprits=(),
            probability=0.0,
            change=change,
            launches=self._launches,
            seconds=round(self._seconds, 1),
            problems=dict(self._problems),
            reason=self._none_proven(ends),
        )
        if not proven:
            return nothing
        span = self._span
        probabilities = self._posterior(ends)
        measurable = set(range(len(span.columns))) - self._problems.keys()
        groups = bisection.alike(span.contains, measurable)
        best = max(groups, key=lambda group: float(probabilities[group].sum()))
        reason = ""
        if float(probabilities[best].sum()) < SURE:
            best = bisection.credible(probabilities, groups, _LIKELY)
            reason = "more launches tell them apart: --seconds"
        culprits = tuple(number for number in best if span.prior[number] > 0)
        if len(culprits) > 1 and not reason:
            reason = "the commits between them could not be measured"
        probability = float(probabilities[list(best)].sum())
        return replace(nothing, culprits=culprits, probability=probability, reason=reason)

    # -- the next launches -----------------------------------------------------------------

    def _build(self, numbers: Sequence[int]) -> None:
        columns = self._span.columns
        self._bench.add([columns[number] for number in numbers], [self._recipe])
        self._built.update(numbers)
        self._note_problems()

    def _note_problems(self) -> None:
        for number in self._built:
            problem = self._bench.problems.get(self._label(number))
            if problem is not None:
                self._problems.setdefault(number, problem)

    def _label(self, number: int) -> str:
        return label_of(self._span.columns[number], self._recipe)

    def _check_ends(self) -> None:
        for number, end in ((0, self._span.good), (self._last, self._span.bad)):
            if number in self._problems:
                raise RecipeError(
                    f"{self._recipe} cannot be measured at {end.name}: {self._problems[number]}",
                    where=f"{end.option} {end.ref}",
                    valid="a commit at which the recipe is there and builds",
                    next_step=f"{end.option} REF names another commit",
                )

    def _choose(self) -> None:
        """The commits of the next launches, built; those that do not build give way to others."""
        ends = [launch[self._last] for launch in self._values if self._last in launch]
        if not self._is_worth_building(ends):
            return
        probabilities = self._posterior(ends)
        while True:
            excluded = {0, self._last, *self._problems}
            chosen = bisection.next_commits(
                self._span.contains, probabilities, _BETWEEN, self._built, excluded
            )
            fresh = [number for number in chosen if number not in self._built]
            if not fresh:
                self._between = chosen
                return
            self._show(f"bisect: building {len(fresh)} commits")
            self._build(fresh)

    def _is_worth_building(self, ends: Sequence[float]) -> bool:
        if self._metric.rule is not Rule.LAUNCHES:
            return self._change(ends)[1]
        if len(ends) < _ENDS_ONLY:
            return False
        if self._between:
            return True
        error = max(float(np.std(ends, ddof=1)), sequential.LEAST_SD) / math.sqrt(len(ends))
        return abs(float(np.mean(ends))) >= max(_LOOK * error, math.log1p(LEAST))

    def _measure(self) -> None:
        if self._metric.rule is not Rule.LAUNCHES:
            self._values = [self._exact_values()]
            return
        arms = [0, *self._between, self._last]
        for turn in range(_STAGE):
            start = time.monotonic()
            self._launches += 1
            self._bench.launch(
                [[self._label(number) for number in arms]],
                {self._metric.name},
                f"bisect: launch {self._launches}, {len(self._between)} commits between the ends, "
                f"{self._seconds:.0f} of {self._settings.seconds:.0f} s ",
                last=turn == _STAGE - 1,
            )
            self._seconds += time.monotonic() - start
        self._note_problems()
        self._check_ends()
        self._values = self._launch_values()
        if not any(self._last in launch for launch in self._values):
            raise RecipeError(
                f"{self._metric.name} of {self._recipe} was not measured",
                where=f"--good {self._span.good.ref} --bad {self._span.bad.ref}",
                next_step=f"pytest --perf -k {self._recipe}  # the report says why",
            )

    def _launch_values(self) -> list[dict[int, float]]:
        """Commit to log value, relative to the good end's, for each launch."""
        good = {launch.index: launch for launch in self._bench.record(self._label(0)).launches}
        values: dict[int, dict[int, float]] = {index: {0: 0.0} for index in sorted(good)}
        for number in self._built - {0} - self._problems.keys():
            for launch in self._bench.record(self._label(number)).launches:
                if launch.index in good:
                    ratio = launch_ratio(launch, good[launch.index], self._metric.name)
                    if ratio is not None:
                        values[launch.index][number] = ratio
        return list(values.values())

    def _exact_values(self) -> dict[int, float]:
        """Of a metric that launches do not change: relative to the good end."""
        levels = {
            number: level(self._bench.record(self._label(number)), self._metric)
            for number in self._built - self._problems.keys()
        }
        known = {number: value for number, value in levels.items() if value is not None}
        for number in (0, self._last):
            if number not in known:
                raise RecipeError(
                    f"{self._metric.name} of {self._recipe} was not measured at "
                    f"{self._span.columns[number].name}"
                )
        if self._metric.relative:
            known = {number: log_value(value) for number, value in known.items()}
        return {number: value - known[0] for number, value in known.items()}

    # -- what the values say ---------------------------------------------------------------

    def _posterior(self, ends: Sequence[float]) -> bisection.Floats:
        noise = None
        if self._metric.rule is not Rule.LAUNCHES:
            noise = bisection.Noise(abs(ends[0]) / _SHARPER, _ONCE_IS_SURE)
        return bisection.posterior(self._span.contains, self._values, self._span.prior, noise)

    @property
    def _least(self) -> float:
        return math.log1p(LEAST) if self._metric.relative else LEAST_SCORE

    def _change(self, ends: Sequence[float]) -> tuple[tuple[float, float, float], bool]:
        """The difference of the ends with its interval, and whether it is a proven step."""
        if self._metric.rule is not Rule.LAUNCHES:
            value = self._back(ends[0]) if ends else math.nan
            return (value, value, value), bool(ends) and abs(ends[0]) >= self._least
        if not ends:
            return (math.nan, -math.inf, math.inf), False
        half = _ALPHA / 2
        middle, low, high = sequential.median_bounds(ends, half, half)
        proven = abs(middle) >= self._least and (low > 0 or high < 0)
        _, low, high = sequential.mean_bounds(ends, _INTERVAL / 2, sequential.KEEPING)
        return (self._back(middle), self._back(low), self._back(high)), proven

    def _back(self, value: float) -> float:
        if not self._metric.relative:
            return value
        return math.inf if value > 700 else math.expm1(value)

    def _none_proven(self, ends: Sequence[float]) -> str:
        if len(ends) < sequential.fewest(_ALPHA / 2) and self._metric.rule is Rule.LAUNCHES:
            return f"{len(ends)} launches prove no step; give it more time: --seconds"
        return "the ends of the range do not differ by more than the noise"

    def _is_decided(self, outcome: Outcome) -> bool:
        if outcome.culprits:
            return outcome.probability >= SURE and "--seconds" not in outcome.reason
        if self._metric.rule is not Rule.LAUNCHES:
            return True
        _, low, high = outcome.change
        least = LEAST if self._metric.relative else LEAST_SCORE
        few = outcome.launches < sequential.fewest(_ALPHA / 2)
        return not few and -least < low and high < least

    def lines(self, outcome: Outcome) -> list[str]:
        """The outcome for people."""
        span, metric = self._span, self._metric
        estimate, low, high = (self._amount(value) for value in outcome.change)
        text = (
            f"{metric.name} of {self._recipe} from {span.good.name} to {span.bad.name}: {estimate}"
        )
        if metric.rule is Rule.LAUNCHES:
            text += (
                f" ({low} … {high}), {outcome.launches} launches, {outcome.seconds:.0f} s of "
                "measuring"
            )
        lines = [text]
        if not outcome.culprits:
            lines.append(f"none proven: {outcome.reason}")
        elif len(outcome.culprits) == 1:
            number = outcome.culprits[0]
            better = (outcome.change[0] < 0) == (metric.better is Better.LOWER)
            lines += [
                f"first {'better' if better else 'bad'} commit: {span.name(number)} "
                f"(probability {100 * outcome.probability:.1f} %)",
                f"next: git show {span.commits[number].commit[:12]}",
            ]
        else:
            lines.append(
                f"first bad commit: one of {len(outcome.culprits)} "
                f"(probability {100 * outcome.probability:.1f} %); {outcome.reason}"
            )
            lines += [f"  {span.name(number)}" for number in outcome.culprits]
        for number, problem in sorted(outcome.problems.items()):
            lines.append(f"not measured: {span.name(number - 1)}: {problem}")
        return lines

    def _amount(self, value: float) -> str:
        if not math.isfinite(value):
            return "any"
        if self._metric.relative:
            return show_percent(value)
        return show(value, self._metric.unit)


def check_metric(metric: Metric) -> None:
    """Check that commits can be compared by a metric.

    Raises:
        RecipeError: it is observed once, compares with a reference, or needs a long run.
    """
    if metric.alone or metric.against_reference or metric.name == PARITY:
        raise RecipeError(
            f"commits cannot be compared by {metric.name}",
            valid="a time, a rate, memory, a size or a score",
        )
