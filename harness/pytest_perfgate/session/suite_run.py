"""One suite of one session: its arms prepared, measured in launches until decided, judged."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pytest_perfgate import registry
from pytest_perfgate.baselines.store import Baseline, Store
from pytest_perfgate.baselines.update import spec_digest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.machine import steadiness
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.fingerprint import Environment, Machine, differences
from pytest_perfgate.measure.bench import Bench, launch_seconds
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.metric import Metric, Rule
from pytest_perfgate.records.launch_values import PEAKS, spread_of
from pytest_perfgate.records.recipe import Budget, LimitKind, Recipe
from pytest_perfgate.records.recipe_record import Failure, RecipeRecord
from pytest_perfgate.records.session import BaseRecord, SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import LimitResult, Status, Verdict
from pytest_perfgate.search.run import Found
from pytest_perfgate.session.arms import Arms, BaseTree, at_base, copy_of
from pytest_perfgate.session.slow_recipes import Slowness
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.requirements import missing_packages
from pytest_perfgate.verdicts.accuracy_intervals import collapsed
from pytest_perfgate.verdicts.evidence import Base, Evidence, Risk
from pytest_perfgate.verdicts.gpu_clock import clock_effects, launch_gaps
from pytest_perfgate.verdicts.judge import judge, measured, summarise, why_not
from pytest_perfgate.verdicts.no_gain import without_gain

MEASURED = "measured"
"""The test of a recipe without budgets: that it was measured at all."""

_FEWEST = 4  # launches before a session may end
_FEWEST_TO_STORE = 8  # the same when baselines are written: they are compared with for long
_MOST = 60

_OF_BATCHES = frozenset({"throughput", *PEAKS})  # a batch is what takes the most memory
_ENERGY = frozenset({"energy"})

_TOLD = 2  # launches that measure throughput and energy which no budget asks for

_HOPELESS = 8  # launches before a recipe that will not be decided in time may leave
_LOAD_SECONDS = 0.5  # what it takes to start an arm, for the plan
_PARENT_SECONDS = 1.0  # what a launch takes besides
_FAR = 2.0  # times as long as was guessed, and people are told


class SuiteRun:
    """One suite of one session, from build to verdicts."""

    def __init__(
        self,
        found: Found,
        wanted: Mapping[str, list[str]],
        *,
        settings: Settings,
        machine: Machine,
        environment: Environment,
        limits: int,
        base: BaseTree | None,
        show: Progress,
        say: Progress,
    ) -> None:
        self._suite = suite = found.suite
        self._found = found
        self._settings = settings
        self._machine = machine
        self._environment = environment
        self._wanted = {name: wanted[name] for name in suite.recipes if name in wanted}
        self._say = say
        self._show: Progress = lambda text: show(f"{suite.name}: {text}")
        self._metrics = metrics_of(suite.task)
        self._store = Store(settings.baselines)
        self._stored: dict[str, Baseline] = {}
        self._unreadable: dict[str, PerfgateError] = {}
        self._skipped: dict[str, Failure] = dict(found.failures)
        self._risk = Risk(fail=settings.alpha / limits)
        self._now = datetime.now(UTC)
        self._pace: float | None = None
        self._plan = ""
        self._base = base
        self._arms = Arms(
            suite,
            self._wanted,
            self._metrics,
            base,
            hopeless=found.failures,
            values=found.values,
        )
        self._recipes = self._arms.recipes
        self._find_missing()
        self._bench = Bench(self._arms.all(self._skipped), settings, self._show)

    def run(self) -> SuiteRecord:
        """Everything, in its order."""
        phases = {}
        self._read_baselines()
        with self._bench:
            clock = time.monotonic()
            self._bench.prepare()
            phases["build"] = round(time.monotonic() - clock, 1)
            clock = time.monotonic()
            self._announce()
            verdicts = self._measure()
            phases["measure"] = round(time.monotonic() - clock, 1)
            clock = time.monotonic()
            slowness = Slowness(
                self._bench,
                self._suite,
                self._metrics,
                self._settings.profile,
                self._base.found.name if self._base else "",
            )
            verdicts = slowness.explained(verdicts, [recipe.name for recipe in self._recipes])
            if slowness.profiled:
                phases["profile"] = round(time.monotonic() - clock, 1)
        records = [self._record(recipe.name) for recipe in self._recipes]
        conditions = steadiness.mark(self._bench.conditions)
        return SuiteRecord(
            name=self._suite.name,
            folder=short_path(self._suite.folder, self._settings.root),
            task=self._suite.task,
            model=str(self._suite.model),
            data=dict(self._suite.data),
            batch=self._suite.batch,
            policy={
                "between_samples": self._suite.between_samples,
                "turns": self._suite.turns,
            },
            recipes=tuple(records),
            yardstick=tuple(self._bench.yardstick),
            conditions=conditions,
            notes=self._notes(conditions, records),
            thumbnails=self._bench.thumbnails,
            summaries={
                record.name: summarise(self._evidence(self._suite.recipes[record.name]))
                for record in records
                if record.failure is None
            },
            verdicts=tuple(verdicts),
            suspects=self._suspects(),
            phases=phases,
            plan=self._plan,
            base=self._base_record(),
            controls=tuple(
                self._bench.record(copy_of(name))
                for name in self._arms.references
                if self._bench.alive([copy_of(name)])
            ),
            spreads={
                record.name: found
                for record in records
                if (found := spread_of(record.without(self._discarded())))
            },
        )

    def _notes(
        self, conditions: Sequence[Conditions], records: Sequence[RecipeRecord]
    ) -> tuple[str, ...]:
        counted = [record.without(self._discarded()) for record in records]
        return (
            *steadiness.notes(conditions),
            *clock_effects(counted),
            *launch_gaps(counted),
            *collapsed(records),
            *without_gain(records),
            *self._bench.notes,
        )

    # -- what is measured ------------------------------------------------------------------

    def _find_missing(self) -> None:
        for recipe in self._recipes:
            if recipe.name in self._skipped:
                continue
            missing = missing_packages(self._suite, recipe)
            if missing:
                self._skipped[recipe.name] = Failure(
                    stage="build",
                    problem=registry.lacks(missing),
                    next_step=" && ".join(dict.fromkeys(each.install for each in missing)),
                    missing_package=True,
                )

    def _read_baselines(self) -> None:
        for recipe in self._recipes:
            try:
                found = self._store.read(self._machine, self._suite.name, recipe.name)
            except PerfgateError as error:
                self._unreadable[recipe.name] = error
            else:
                if found is not None:
                    self._stored[recipe.name] = found

    # -- launches --------------------------------------------------------------------------

    def _announce(self, took: float | None = None) -> None:
        """Says what is expected before the first launch, and again when that took far longer."""
        from pytest_perfgate.stats.sequential import fewest

        blocks = self._arms.blocks()
        live = self._bench.alive(self._bench.labels)
        if not live:
            return
        guess = self._expected(blocks)
        if took is not None and took < _FAR * guess:
            return
        each = took or guess
        to_break = fewest(self._risk.fail)
        seconds = self._settings.seconds
        now = datetime.now().astimezone() - timedelta(seconds=took or 0.0)
        kept = (now + timedelta(seconds=min(seconds, self._fewest * each))).strftime("%H:%M:%S")
        late = (now + timedelta(seconds=seconds)).strftime("%H:%M:%S")
        self._plan = (
            f"{len(live)} arms, launches {'take' if took else 'of about'} {each:.0f} s; "
            f"{self._fewest} when all budgets "
            f"are clearly kept ({kept}), {to_break} to prove one broken; {late} at the latest "
            f"(--perf-seconds {seconds:g})"
        )
        few = self._expected(blocks[:2]) * each / guess
        if self._fewest * each + (to_break - self._fewest) * few > seconds:
            asked = math.ceil((self._fewest * each + (to_break - self._fewest) * few) / 10) * 10
            self._plan += f"; too short to prove any budget broken: --perf-seconds {asked}"
        self._say(f"perfgate {self._suite.name}: {self._plan}")

    def _expected(self, blocks: Sequence[Sequence[str]]) -> float:
        """A guess at the seconds of a launch, from how long evaluation took."""
        loads = len({label for block in blocks for label in block}) * _LOAD_SECONDS
        turns = [self._bench.seconds_per_inference(label) for block in blocks for label in block]
        rounds = 1.25 * self._settings.rounds * sum(turns)
        return _PARENT_SECONDS + loads + min(rounds, launch_seconds(len(blocks)))

    @property
    def _fewest(self) -> int:
        return _FEWEST_TO_STORE if self._settings.update else _FEWEST

    def _measure(self) -> list[Verdict]:
        """Adds launches until every budget is decided or the time is up."""
        start = time.monotonic()
        blocks = self._arms.blocks()
        batches, energies = self._batched(), self._bench.labels
        for count in range(1, _MOST + 1):
            before = time.monotonic()
            self._bench.launch(
                blocks,
                f"launch {count}, {len(blocks)} blocks of arms, {before - start:.0f} of "
                f"{self._settings.seconds:.0f} s ",
                batches=batches,
                energies=energies,
                last=count == _MOST,
            )
            now = time.monotonic()
            self._pace = now - before
            if count == 1:
                self._announce(self._pace)
            left = self._settings.seconds - (now - start)
            late = left < self._pace
            if count >= _TOLD and not (self._settings.update or self._asks(_OF_BATCHES)):
                batches = []
            if count >= _TOLD and not (self._settings.update or self._asks(_ENERGY)):
                energies = []
            if count - len(self._discarded()) >= self._fewest:
                verdicts = self._verdicts()
                undecided = self._undecided(verdicts, count, left)
                blocks = self._arms.blocks(undecided)
                rates = [verdict for verdict in undecided if verdict.metric in _OF_BATCHES]
                batches = [label for block in self._arms.blocks(rates) for label in block]
                if late or not blocks:
                    return verdicts
            if not any(self._bench.alive(block) for block in blocks):
                break
        return self._verdicts()

    def _batched(self) -> list[str]:
        """Every recipe's throughput is told; that of copies and of the base only where asked."""
        if self._asks(_OF_BATCHES):
            return self._bench.labels
        return [recipe.name for recipe in self._recipes]

    def _asks(self, names: frozenset[str]) -> bool:
        return any(names.intersection(metrics) for metrics in self._wanted.values())

    def _undecided(self, verdicts: Sequence[Verdict], count: int, left: float) -> list[Verdict]:
        """Verdicts that more launches may decide in the time that is left."""
        found = []
        for verdict in verdicts:
            metric = self._metrics.get(verdict.metric)
            if verdict.status is not Status.INCONCLUSIVE or metric is None:
                continue
            if metric.rule is Rule.LAUNCHES and (
                count < _HOPELESS
                or any(
                    self._within_reach(limit, left)
                    for limit in verdict.limits
                    if limit.status is Status.INCONCLUSIVE
                )
            ):
                found.append(verdict)
        return found

    def _within_reach(self, limit: LimitResult, left: float) -> bool:
        if limit.possible is None:
            return False
        return (limit.possible - limit.sample) * (self._pace or 0.0) <= left

    # -- verdicts --------------------------------------------------------------------------

    def _verdicts(self) -> list[Verdict]:
        found = []
        for name, metrics in self._wanted.items():
            recipe = self._suite.recipes[name]
            evidence = self._evidence(recipe)
            budgets = {budget.metric: budget for budget in recipe.budgets}
            for metric in dict.fromkeys(metrics):
                if metric == MEASURED:
                    found.append(measured(evidence.record, MEASURED))
                elif metric in budgets:
                    found.append(self._verdict(budgets[metric], evidence))
        return found

    def _verdict(self, budget: Budget, evidence: Evidence) -> Verdict:
        metric = self._metrics[budget.metric]
        name = evidence.record.name

        def without(status: Status, reason: str, next_step: str = "") -> Verdict:
            return Verdict(
                recipe=name,
                metric=metric.name,
                status=status,
                unit=metric.unit.value,
                reason=reason,
                next_step=next_step,
            )

        reason = why_not(budget.when, self._machine)
        if reason:
            return without(Status.SKIPPED, f"does not apply on this machine: {reason}")
        unreadable = self._unreadable.get(name)
        asks = any(limit.kind == "regression" for limit in budget.limits)
        if unreadable is not None and asks and self._base is None:
            return without(
                Status.ERROR, f"{unreadable.where}: {unreadable.problem}", unreadable.next_step
            )
        found = judge(budget, metric, evidence, self._risk, self._now)
        recipe = self._suite.recipes[name]
        if found.status is not Status.FAIL or recipe.is_reference:
            return found
        hint = self._where_it_was_lost(budget, metric, recipe)
        return (
            found.model_copy(update={"next_step": f"{hint}; {found.next_step}"}) if hint else found
        )

    def _where_it_was_lost(self, budget: Budget, metric: Metric, recipe: Recipe) -> str:
        """Which recipe of its line still keeps a budget that it breaks, by the same rules."""
        limits = tuple(each for each in budget.limits if each.kind is not LimitKind.REGRESSION)
        names = {each.name for each in self._recipes}
        parent = recipe.parent
        while limits and parent in names and parent != recipe.reference:
            ancestor = self._suite.recipes[parent]
            asked = Budget(budget.metric, limits)
            there = judge(asked, metric, self._evidence(ancestor), self._risk, self._now)
            if there.status is Status.PASS:
                steps = ", ".join(str(step) for step in recipe.chain[len(ancestor.chain) :])
                added = steps or f"the runtime {recipe.runtime.name}"
                return f"{parent}, which it continues, keeps it: what was added lost it ({added})"
            parent = ancestor.parent
        if not limits:
            return ""
        return f"pytest-perfgate explain {recipe.name} shows which link of its chain lost it"

    def _record(self, name: str) -> RecipeRecord:
        skipped, search = self._skipped.get(name), self._found.searches.get(name)
        if skipped is None and name in self._bench.labels:
            record = self._bench.record(name)
            return record if search is None else record.model_copy(update={"search": search})
        recipe = self._suite.recipes[name]
        return RecipeRecord(
            name=name,
            reference=recipe.reference,
            parent=recipe.parent,
            failure=skipped,
            search=search,
        )

    def _discarded(self) -> frozenset[int]:
        """Launches that do not count: the machine was unsteady, whatever they measured."""
        return frozenset(steadiness.discards(self._bench.conditions))

    def _evidence(self, recipe: Recipe) -> Evidence:
        reference, discarded = recipe.reference, self._discarded()
        copy = self._bench.alive([copy_of(reference)])
        beside = self._record(reference).without(discarded)
        return Evidence(
            record=self._record(recipe.name).without(discarded),
            reference=None if recipe.is_reference else beside,
            baseline=self._stored.get(recipe.name),
            base=self._base_of(recipe.name),
            control=(beside, self._bench.record(copy[0]).without(discarded)) if copy else None,
            reference_baseline=self._stored.get(reference),
            yardstick=tuple(each for each in self._bench.yardstick if each.index not in discarded),
            pace=self._pace,
            metrics=self._metrics,
        )

    def _base_of(self, name: str) -> Base | None:
        if self._base is None:
            return None
        found = self._base.found.name
        if at_base(name) not in self._bench.labels:
            return Base(found, problem=self._arms.problems.get(name, "it was not measured there"))
        record = self._bench.record(at_base(name))
        if record.failure is None:
            return Base(found, record.without(self._discarded()))
        problem = f"the recipe could not be measured at {found}: {record.failure.problem}"
        self._arms.problems[name] = problem
        return Base(found, problem=problem)

    def _base_record(self) -> BaseRecord | None:
        if self._base is None:
            return None
        there = [label for name in self._wanted if (label := at_base(name)) in self._bench.labels]
        return BaseRecord(
            ref=self._base.found.ref,
            commit=self._base.found.commit,
            python=self._base.python,
            recipes=tuple(self._bench.record(label) for label in there),
            problems=self._arms.problems,
        )

    def _suspects(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        if self._base is not None:
            return ()
        for baseline in self._stored.values():
            for line in differences(baseline.environment, self._environment):
                found[line] = None
        for name, baseline in self._stored.items():
            if baseline.spec != spec_digest(self._record(name)):
                other = "other steps, another runtime or other work"
                found[f"the recipe {name} has {other} than its baseline"] = None
        return tuple(found)
