"""Steps that the history found, measured again: both commits in the same launches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.history.alert_life import Standing
from pytest_perfgate.history.alerts import Confirmation, Result
from pytest_perfgate.history.analysis import suspects
from pytest_perfgate.history.charts import amount
from pytest_perfgate.history.findings import Findings, Move
from pytest_perfgate.history.nights import Night
from pytest_perfgate.measure.base_checkout import Commit, find
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.metric import Metric, Rule
from pytest_perfgate.records.launch_values import level, log_value
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.stats import sequential
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.locations import with_files
from pytest_perfgate.suite.lookup import suite_files
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.requirements import lacking
from pytest_perfgate.verdicts.limit_bounds import log_ratios
from pytest_perfgate.versions.bisection import check_metric
from pytest_perfgate.versions.commit_bench import CommitBench, label_of
from pytest_perfgate.versions.range_values import values_of

_ALPHA = 0.01  # that equal commits look different
_INTERVAL = 0.05  # of the intervals that are shown, and of "not confirmed"
_LISTED = 4  # differences of the nights in a reason
_SHARE = 0.5  # of a step: less than that is another change, or none

Keep = Callable[[Sequence[Standing]], None]
"""Stores alerts with what was measured of them."""


@dataclass(frozen=True)
class _Pair:
    """Two commits of one suite, of which steps are measured together."""

    suite: str
    before: str
    after: str


def to_confirm(
    standings: Iterable[Standing], findings: Findings, machine: str, *, again: bool
) -> list[Standing]:
    """The steps of a machine's newest nights that were not measured again yet, for the worse first;
    with `again` also those whose measuring decided nothing.
    """
    nights = findings.past.nights
    own = [index for index, night in enumerate(nights) if night.machine == machine]
    if not own:
        return []
    first = own[-findings.choices.recent :][0]
    chosen = []
    for standing in standings:
        alert = standing.alert
        done = alert.confirmation is not None and not (
            again and alert.confirmation.result is Result.NOT_MEASURED
        )
        recent = any(move.night >= first for move in standing.moves)
        if (
            standing.machine == machine
            and recent
            and not (done or alert.expected or alert.is_fixed)
        ):
            chosen.append(standing)
    return sorted(chosen, key=lambda standing: not standing.alert.worse)


class Confirmations:
    """Measures steps again, pair of commits by pair.

    Args:
        folder: where suite files are searched for.
        show: called with progress, on one line.
    """

    def __init__(
        self, settings: Settings, folder: Path, nights: Sequence[Night], show: Progress
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._nights = nights
        self._show = show

    def run(self, standings: Sequence[Standing], keep: Keep) -> list[Standing]:
        """The steps with what became of them; `keep` is called after each pair of commits, so that
        an interrupted run loses none that it has measured.
        """
        result: list[Standing] = []
        pairs: dict[_Pair, list[Standing]] = {}
        for standing in standings:
            move = standing.moves[0]
            problem = self._obstacle(move)
            if problem:
                result.append(_with(standing, self._not_measured(move, problem)))
                continue
            before, after = self._commits(move)
            pairs.setdefault(_Pair(standing.alert.suite, before, after), []).append(standing)
        if result:
            keep(result)
        for pair, steps in pairs.items():
            try:
                done = self._measure(pair, steps)
            except PerfgateError as error:
                done = [
                    _with(step, self._not_measured(step.moves[0], error.problem)) for step in steps
                ]
            keep(done)
            result += done
        return result

    def _commits(self, move: Move) -> tuple[str, str]:
        return self._nights[move.before].commit, self._nights[move.latest].commit

    def _obstacle(self, move: Move) -> str:
        """Why no commits can be measured for a step, "" where they can."""
        before, after = self._nights[move.before], self._nights[move.latest]
        if not before.commit or not after.commit:
            return "the commits of its nights were not recorded"
        if before.commit == after.commit:
            return f"its nights are both of commit {before.commit[:10]}: it was not the code"
        changed = next((night for night in (before, after) if night.dirty), None)
        if changed is not None:
            return f"the night of {changed.started:%Y-%m-%d} had local changes, which no commit has"
        return ""

    def _not_measured(self, move: Move, reason: str) -> Confirmation:
        before, after = self._commits(move)
        return Confirmation(
            result=Result.NOT_MEASURED, date=_now(), before=before, after=after, reason=reason
        )

    def _measure(self, pair: _Pair, steps: Sequence[Standing]) -> list[Standing]:
        root = self._settings.root
        suite = self._suite(pair.suite)
        before, after = (
            find(root, name, tip=True, option="commit") for name in (pair.before, pair.after)
        )
        metrics = metrics_of(suite.task, suite.scopes)
        problems = {step.alert.subject: self._problem(step, suite, metrics) for step in steps}
        names = list(
            dict.fromkeys(step.alert.recipe for step in steps if not problems[step.alert.subject])
        )
        values = {
            name: values_of(suite, suite.recipes[name], self._settings, self._show)
            for name in names
        }
        suite = with_files(suite, self._settings.cache, self._show)
        with CommitBench(suite, self._settings, self._show, values) as bench:
            if names:
                bench.add([before, after], names)
            work = _Pairwise(bench, before, after, metrics, self._settings, self._show)
            live = [step for step in steps if not problems[step.alert.subject]]
            results = work.run([step for step in live if not work.problem(step.alert.recipe)])
            done = []
            for step in steps:
                result = results.get(step.alert.subject)
                if result is None:
                    reason = problems[step.alert.subject] or work.problem(step.alert.recipe)
                    result = self._not_measured(step.moves[0], reason)
                done.append(_with(step, self._with_suspects(result, step.moves[0])))
            return done

    def _with_suspects(self, result: Confirmation, move: Move) -> Confirmation:
        """Where the code alone is no cause: what else the nights differ by."""
        causes = suspects(self._nights, move)
        if result.result is not Result.NOT_CONFIRMED or not causes:
            return result
        listed = ", ".join(causes[:_LISTED])
        reason = f"{result.reason}; its nights differ by more than the code: {listed}"
        return result.model_copy(update={"reason": reason})

    def _suite(self, name: str) -> Suite:
        for file in suite_files(self._folder):
            read = reading.read(file, self._settings.root)
            if read.suite is not None and name in read.suite.titles:
                return read.suite
        raise PerfgateError(f"there is no suite {name!r} in the working tree")

    def _problem(self, step: Standing, suite: Suite, metrics: Mapping[str, Metric]) -> str:
        """Why a step's recipe or metric cannot be measured here, "" where it can."""
        _, name, metric = step.alert.subject
        if name not in suite.recipes:
            return f"there is no recipe {name!r} in the working tree"
        if metric not in metrics:
            return f"there is no metric {metric!r}"
        try:
            check_metric(metrics[metric])
        except PerfgateError as error:
            return error.problem
        failure = lacking(suite, suite.recipes[name])
        return failure.problem if failure is not None else ""


class _Pairwise:
    """Two commits beside each other, launch after launch."""

    def __init__(
        self,
        bench: CommitBench,
        before: Commit,
        after: Commit,
        metrics: Mapping[str, Metric],
        settings: Settings,
        show: Progress,
    ) -> None:
        self._bench = bench
        self._before = before
        self._after = after
        self._metrics = metrics
        self._settings = settings
        self._show = show

    def problem(self, recipe: str) -> str:
        """Why a recipe cannot be measured at one of the commits, "" where it can at both."""
        for commit in (self._before, self._after):
            problem = self._bench.problems.get(label_of(commit, recipe))
            if problem is not None:
                return f"at {commit.commit[:10]}: {problem}"
        return ""

    def run(self, steps: Sequence[Standing]) -> dict[tuple[str, str, str], Confirmation]:
        """What became of each step, by its subject; one whose recipe fails on the way is left
        out.
        """
        timed = [step for step in steps if self._metric(step).rule is Rule.LAUNCHES]
        start, count = time.monotonic(), 0
        while True:
            passed = time.monotonic() - start
            open_steps = [
                step
                for step in timed
                if not self.problem(step.alert.recipe) and self._judged(step, last=False) is None
            ]
            if not open_steps or (count and passed + passed / count > self._settings.seconds):
                break
            count += 1
            recipes = list(dict.fromkeys(step.alert.recipe for step in open_steps))
            self._bench.launch(
                [
                    [label_of(commit, name) for commit in (self._before, self._after)]
                    for name in recipes
                ],
                {step.alert.metric for step in open_steps},
                f"confirm: launch {count}, {len(open_steps)} steps, {passed:.0f} of "
                f"{self._settings.seconds:.0f} s ",
                last=False,
            )
        results = {}
        for step in steps:
            judged = None if self.problem(step.alert.recipe) else self._judged(step, last=True)
            if judged is not None:
                results[step.alert.subject] = judged
        return results

    def _metric(self, step: Standing) -> Metric:
        return self._metrics[step.alert.metric]

    def _records(self, recipe: str) -> tuple[RecipeRecord, RecipeRecord]:
        before, after = (
            self._bench.record(label_of(commit, recipe)) for commit in (self._before, self._after)
        )
        return before, after

    def _judged(self, step: Standing, *, last: bool) -> Confirmation | None:
        """What a step came to, None while more launches may decide it."""
        metric, size = self._metric(step), step.moves[0].size
        before, after = self._records(step.alert.recipe)
        if metric.rule is not Rule.LAUNCHES:
            return self._exact(metric, size, before, after)
        logs = log_ratios(metric, after, before)
        if len(logs) < 2:
            return self._undecided(metric, len(logs), None) if last else None
        middle, low, high = sequential.median_bounds(logs, _ALPHA, _ALPHA)
        _, small, large = sequential.mean_bounds(logs, _INTERVAL / 2, sequential.KEEPING)
        sign = math.copysign(1.0, size)
        half = _SHARE * abs(size)
        shown = (middle, small, large)
        if max(sign * small, sign * large) < half:
            reason = f"the step of the nights was {_shown(size, metric)}"
            return self._result(Result.NOT_CONFIRMED, metric, len(logs), shown, reason)
        if min(sign * low, sign * high) > 0 and sign * middle >= half:
            return self._result(Result.CONFIRMED, metric, len(logs), shown)
        return self._undecided(metric, len(logs), shown) if last else None

    def _exact(
        self, metric: Metric, size: float, before: RecipeRecord, after: RecipeRecord
    ) -> Confirmation:
        """Of a score or a size, which launches do not change."""
        one, two = level(before, metric), level(after, metric)
        if one is None or two is None:
            return self._result(
                Result.NOT_MEASURED, metric, 0, None, f"{metric.name} has no value there"
            )
        moved = log_value(two) - log_value(one) if metric.relative else two - one
        same = moved * size > 0 and abs(moved) >= _SHARE * abs(size)
        result = Result.CONFIRMED if same else Result.NOT_CONFIRMED
        return self._result(result, metric, 0, (moved, moved, moved))

    def _undecided(
        self, metric: Metric, launches: int, shown: tuple[float, float, float] | None
    ) -> Confirmation:
        reason = f"{launches} launches in {self._settings.seconds:g} s decide nothing"
        return self._result(Result.NOT_MEASURED, metric, launches, shown, reason)

    def _result(
        self,
        result: Result,
        metric: Metric,
        launches: int,
        shown: tuple[float, float, float] | None,
        reason: str = "",
    ) -> Confirmation:
        change, low, high = (
            (_plain(value, metric) for value in shown) if shown else (None, None, None)
        )
        return Confirmation(
            result=result,
            date=_now(),
            before=self._before.commit,
            after=self._after.commit,
            change=change,
            low=low,
            high=high,
            launches=launches,
            reason=reason,
        )


def _plain(value: float, metric: Metric) -> float | None:
    """A log ratio less 1, a difference of scores as it is; None for an open end."""
    if not math.isfinite(value):
        return None
    return round(math.expm1(value) if metric.relative else value, 6)


def _shown(size: float, metric: Metric) -> str:
    return amount(size, relative=metric.relative)


def _with(standing: Standing, confirmation: Confirmation) -> Standing:
    alert = standing.alert.model_copy(update={"confirmation": confirmation})
    return replace(standing, alert=alert)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
