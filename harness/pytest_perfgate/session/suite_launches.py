"""The launches of one suite: announced, and added until every budget is decided or time is up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pytest_perfgate.baselines import update
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.launch_length import launch_seconds
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.metric import Metric, Rule
from pytest_perfgate.records.alike import OF_BATCHES
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import LimitResult, Status, Verdict
from pytest_perfgate.session.arms import Arms, at_base
from pytest_perfgate.session.suite_judge import MEASURED, SuiteJudge
from pytest_perfgate.units import seconds_for
from pytest_perfgate.verdicts.evidence import Risk

_FEWEST = 4  # launches before verdicts are looked at: no fewer decide one
_MOST = 60

_ENERGY, _MEMORY = frozenset({"energy"}), frozenset({"peak_memory"})

_UNASKED = 2  # launches that measure throughput and energy which no budget is on
_LOOKS_AT_MEMORY = {2, 3}  # numbers of launches beside which memory is measured that none is on

_SLACK = 1.5  # times the launches that prove a time broken, for a budget on memory
_HOPELESS = 8  # launches before a recipe that will not be decided in time may leave
_LOAD_SECONDS = 0.5  # to start an arm, for the plan
_PARENT_SECONDS = 1.0  # of a launch besides
_FAR = 2.0  # times the announced length, from which on the plan is announced anew


class SuiteLaunches:
    """The launches of one suite.

    Attributes:
        plan: what was expected before the first launch, in words.
    """

    def __init__(
        self,
        name: str,
        wanted: Mapping[str, Sequence[str]],
        metrics: Mapping[str, Metric],
        arms: Arms,
        bench: Bench,
        judge: SuiteJudge,
        *,
        settings: Settings,
        risk: Risk,
        say: Progress,
    ) -> None:
        self._name = name
        self._wanted = wanted
        self._metrics = metrics
        self._arms = arms
        self._bench = bench
        self._judge = judge
        self._settings = settings
        self._risk = risk
        self._say = say
        self.plan = ""

    def announce(self, launch_took: float | None = None) -> None:
        """Says what is expected before the first launch, and again when that took far longer than
        expected; `launch_took` is in seconds. Nothing where no budget rests on launches.
        """
        from pytest_perfgate.stats.sequential import fewest

        blocks = self._arms.blocks()
        live = self._bench.alive(self._bench.labels)
        if not live or not self._needed:
            return
        guess = self._expected(blocks)
        if launch_took is not None and launch_took < _FAR * guess:
            return
        one = launch_took or guess
        to_break = fewest(self._risk.fail)
        seconds = self._settings.seconds
        start = datetime.now().astimezone() - timedelta(seconds=launch_took or 0.0)
        kept = (start + timedelta(seconds=min(seconds, self._fewest * one))).strftime("%H:%M:%S")
        last = (start + timedelta(seconds=seconds)).strftime("%H:%M:%S")
        self.plan = (
            f"{len(live)} arms, launches {'take' if launch_took else 'of about'} {one:.0f} s; "
            f"{self._fewest} when all budgets "
            f"are clearly kept ({kept}), {to_break} to prove one broken; {last} at the latest "
            f"(--perf-seconds {seconds:g})"
        )
        few = self._expected(blocks[:2]) * one / guess
        needed = self._fewest * one + (to_break - self._fewest) * few
        if needed > seconds:
            # A launch that has begun within the time counts.
            short = (self._fewest - 1) * one >= seconds
            decides = "decide a budget on times" if short else "prove one broken"
            self.plan += (
                f"; if launches take so long, too short to {decides}: "
                f"--perf-seconds={seconds_for(needed)}"
            )
        self._say(f"perfgate {self._name}: {self.plan}")

    def run(self) -> list[Verdict]:
        """Adds launches until every budget is decided or the time is up; the verdicts then.

        No launch begins after the time is up, however few there were.
        """
        if not self._needed:
            return self._judge.verdicts()
        start = time.monotonic()
        blocks = self._arms.blocks()
        paired = self._arms.paired()
        batches, energies, peaks = self._batched(), self._bench.labels, self._bench.labels
        for count in range(1, _MOST + 1):
            before = time.monotonic()
            if not (self._settings.update or self._has_budget(_MEMORY)):
                # Where launches are started ahead, the next one measures it while this one times.
                peaks = self._bench.labels if count in _LOOKS_AT_MEMORY else []
            self._bench.launch(
                blocks,
                f"launch {count}, {len(blocks)} blocks of arms, {before - start:.0f} of "
                f"{self._settings.seconds:.0f} s ",
                batches=batches,
                energies=energies,
                peaks=peaks,
                paired=paired,
                last=count == _MOST,
            )
            now = time.monotonic()
            self._judge.pace = pace = now - before
            if count == 1:
                self.announce(pace)
            left = self._settings.seconds - (now - start)
            if count >= _UNASKED and not (self._settings.update or self._has_budget(OF_BATCHES)):
                batches = []
            if count >= _UNASKED and not (self._settings.update or self._has_budget(_ENERGY)):
                energies = []
            if count - len(self._judge.discarded()) >= self._fewest:
                verdicts = self._judge.verdicts()
                undecided = self._undecided(verdicts, count, left)
                blocks = self._arms.blocks(undecided)
                rates = [verdict for verdict in undecided if verdict.metric in OF_BATCHES]
                batches = [label for block in self._arms.blocks(rates) for label in block]
                sizes = [verdict for verdict in undecided if verdict.metric in _MEMORY]
                peaks = [label for block in self._arms.blocks(sizes) for label in block]
                if left < pace or not blocks:
                    return verdicts
            elif left <= 0:
                break
            if not any(self._bench.alive(block) for block in blocks):
                break
        return self._judge.verdicts()

    @property
    def _needed(self) -> bool:
        """Whether a verdict that is asked for rests on launches; those on scores, sizes and builds
        do not. What a search chose by its time is measured anew. Nothing is launched for references
        that do not work as declared.
        """
        if self._judge.doubted:
            return False
        requested = {name for metrics in self._wanted.values() for name in metrics}
        return (
            MEASURED in requested
            or self._judge.searched
            or any(
                self._metrics[name].rule is Rule.LAUNCHES
                for name in requested & self._metrics.keys()
            )
        )

    def _expected(self, blocks: Sequence[Sequence[str]]) -> float:
        """A guess at the seconds of a launch, from how long evaluation took."""
        loads = len({label for block in blocks for label in block}) * _LOAD_SECONDS
        turns = [self._bench.seconds_per_inference(label) for block in blocks for label in block]
        rounds = 1.25 * self._settings.rounds * sum(turns)
        return _PARENT_SECONDS + loads + min(rounds, launch_seconds(len(blocks)))

    @property
    def _fewest(self) -> int:
        return update.FEWEST_LAUNCHES if self._settings.update else _FEWEST

    def _batched(self) -> list[str]:
        """Labels of arms that run batches: every recipe, and what the page lays beside it; copies
        for a budget only.
        """
        if self._has_budget(OF_BATCHES):
            return self._bench.labels
        return [
            label for recipe in self._arms.recipes for label in (recipe.name, at_base(recipe.name))
        ]

    def _has_budget(self, names: frozenset[str]) -> bool:
        return any(names.intersection(metrics) for metrics in self._wanted.values())

    def _undecided(self, verdicts: Sequence[Verdict], count: int, left: float) -> list[Verdict]:
        """Verdicts that more launches may decide in the `left` seconds."""
        undecided = []
        for verdict in verdicts:
            metric = self._metrics.get(verdict.metric)
            if verdict.status is not Status.INCONCLUSIVE or metric is None:
                continue
            if metric.name in _MEMORY:
                # Its launches scatter by next to nothing: what they say of how many it needs holds.
                if any(self._decides_in_time(limit, left) for limit in verdict.limits):
                    undecided.append(verdict)
            elif metric.rule is Rule.LAUNCHES and (
                count < _HOPELESS
                or any(
                    self._within_reach(limit, left)
                    for limit in verdict.limits
                    if limit.status is Status.INCONCLUSIVE
                )
            ):
                undecided.append(verdict)
        return undecided

    def _decides_in_time(self, limit: LimitResult, left: float) -> bool:
        """Whether an open limit is likely decided by as many launches as prove a time broken."""
        from pytest_perfgate.stats.sequential import fewest

        most = _SLACK * fewest(self._risk.fail)
        return (
            limit.status is Status.INCONCLUSIVE
            and limit.possible is not None
            and limit.sample < most
            and limit.possible <= most
            and self._within_reach(limit, left)
        )

    def _within_reach(self, limit: LimitResult, left: float) -> bool:
        if limit.possible is None:
            return False
        return (limit.possible - limit.sample) * (self._judge.pace or 0.0) <= left
