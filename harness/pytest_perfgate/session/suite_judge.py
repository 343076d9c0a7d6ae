"""Verdicts on the recipes of one suite, from what has been measured so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.baselines.elsewhere import Here, check_folder, why_none
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.baselines.update import suspects_of
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import steadiness
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.metric import Metric, Rule
from pytest_perfgate.records.recipe import Budget, LimitKind, Recipe, Suite
from pytest_perfgate.records.recipe_record import Failure, RecipeRecord
from pytest_perfgate.records.search import Search
from pytest_perfgate.records.session import BaseRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.session.arms import Arms, at_base, copy_of
from pytest_perfgate.session.suite_at import BaseTree
from pytest_perfgate.verdicts.conditions import why_not
from pytest_perfgate.verdicts.evidence import Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge, measured

MEASURED = "measured"
"""The test of a recipe without budgets: that it was measured at all."""


class SuiteJudge:
    """Reads the stored baselines once; judges the bench's records as often as it is called.

    Attributes:
        pace: seconds that a launch takes, None until one was made.
        skipped: recipes that cannot run here, each with the reason.
    """

    def __init__(
        self,
        suite: Suite,
        wanted: Mapping[str, Sequence[str]],
        metrics: Mapping[str, Metric],
        arms: Arms,
        bench: Bench,
        *,
        store: Store,
        here: Here,
        base: BaseTree | None,
        risk: Risk,
        skipped: Mapping[str, Failure],
        searches: Mapping[str, Search],
    ) -> None:
        self._suite = suite
        self._wanted = wanted
        self._metrics = metrics
        self._arms = arms
        self._bench = bench
        self._here = here
        self._base = base
        self._risk = risk
        self._searches = searches
        self._now = datetime.now(UTC)
        self._stored: dict[str, Baseline] = {}
        self._unreadable: dict[str, PerfgateError] = {}
        self._elsewhere: dict[str, str] = {}
        self.skipped = skipped
        self.pace: float | None = None
        self._read_baselines(store)

    def _read_baselines(self, store: Store) -> None:
        suite = self._suite
        for recipe in self._arms.recipes:
            try:
                baseline = store.read(self._here.machine, suite.title, recipe.name)
                if baseline is not None:
                    check_folder(baseline, suite.folder, suite.root)
            except PerfgateError as error:
                self._unreadable[recipe.name] = error
                continue
            if baseline is not None:
                self._stored[recipe.name] = baseline
            elif self._base is None:
                self._elsewhere[recipe.name] = why_none(store, suite, recipe.name, self._here)

    @property
    def searched(self) -> bool:
        """Whether values of a recipe were found by a search."""
        return bool(self._searches)

    @property
    def doubted(self) -> bool:
        """Whether no reference of what is wanted works as declared, and budgets rest on its scores:
        the suite file must change, and whatever is measured before that has to be measured again.
        """
        names = {name for metrics in self._wanted.values() for name in metrics}
        on_scores = any(
            self._metrics[name].rule is Rule.IMAGES for name in names & self._metrics.keys()
        )
        records = [self.record(self._suite.recipes[name].reference) for name in self._wanted]
        return on_scores and all(
            record.accuracy is not None and record.accuracy.doubt is not None for record in records
        )

    @property
    def pieces(self) -> frozenset[int]:
        """The lengths of the yardsticks that stored times were stored with."""
        return frozenset(
            metric.pieces
            for baseline in self._stored.values()
            for metric in baseline.metrics.values()
            if metric.yardstick
        )

    # -- verdicts --------------------------------------------------------------------------

    def verdicts(self) -> list[Verdict]:
        """The verdict on every budget that is wanted."""
        verdicts = []
        for name, metrics in self._wanted.items():
            recipe = self._suite.recipes[name]
            evidence = self.evidence(recipe)
            budgets = {budget.metric: budget for budget in recipe.budgets}
            for metric in dict.fromkeys(metrics):
                if metric == MEASURED:
                    verdicts.append(measured(evidence.record, MEASURED))
                elif metric in budgets:
                    verdicts.append(self._verdict(budgets[metric], evidence))
        return verdicts

    def _verdict(self, budget: Budget, evidence: Evidence) -> Verdict:
        metric, name = self._metrics[budget.metric], evidence.record.name
        obstacle = self._obstacle(budget, name)
        if obstacle is not None:
            return obstacle
        verdict = judge(budget, metric, evidence, self._risk, self._now)
        recipe = self._suite.recipes[name]
        if verdict.status is not Status.FAIL or recipe.is_reference:
            return verdict
        hint = self._where_it_was_lost(budget, metric, recipe)
        if not hint:
            return verdict
        return verdict.model_copy(update={"next_step": f"{hint}; {verdict.next_step}"})

    def _obstacle(self, budget: Budget, name: str) -> Verdict | None:
        """Why a budget is not judged: it does not apply here, or its baseline cannot be read."""

        def without(status: Status, reason: str, next_step: str = "") -> Verdict:
            return Verdict(
                recipe=name,
                metric=budget.metric,
                status=status,
                unit=self._metrics[budget.metric].unit.value,
                reason=reason,
                next_step=next_step,
            )

        reason = why_not(budget.when, self._here.machine)
        if reason:
            return without(Status.SKIPPED, f"does not apply on this machine: {reason}")
        unreadable = self._unreadable.get(name)
        needs_it = any(limit.kind is LimitKind.REGRESSION for limit in budget.limits)
        if unreadable is None or not needs_it or self._base is not None:
            return None
        return without(
            Status.ERROR, f"{unreadable.where}: {unreadable.problem}", unreadable.next_step
        )

    def _where_it_was_lost(self, budget: Budget, metric: Metric, recipe: Recipe) -> str:
        """Which ancestor still keeps a budget that the recipe breaks, by the same rules."""
        limits = tuple(limit for limit in budget.limits if limit.kind is not LimitKind.REGRESSION)
        if not limits:
            return ""
        names = {measured.name for measured in self._arms.recipes}
        parent = recipe.parent
        while parent in names and parent != recipe.reference:
            ancestor = self._suite.recipes[parent]
            evidence = self.evidence(ancestor)
            verdict = judge(Budget(budget.metric, limits), metric, evidence, self._risk, self._now)
            if verdict.status is Status.PASS:
                steps = ", ".join(str(step) for step in recipe.chain[len(ancestor.chain) :])
                added = steps or f"the runtime {recipe.runtime.name}"
                return f"its ancestor {parent} keeps the budget; {recipe.name} adds {added}"
            parent = ancestor.parent
        return f"pytest-perfgate explain {recipe.name} shows which link of its chain lost it"

    # -- evidence --------------------------------------------------------------------------

    def evidence(self, recipe: Recipe) -> Evidence:
        """All that verdicts on a recipe may rest on, without discarded launches."""
        reference, discarded = recipe.reference, self.discarded()
        copy = self._bench.alive([copy_of(reference)])
        beside = self.record(reference).without(discarded)
        return Evidence(
            record=self.record(recipe.name).without(discarded),
            reference=None if recipe.is_reference else beside,
            baseline=self._stored.get(recipe.name),
            elsewhere=self._elsewhere.get(recipe.name, ""),
            base=self._base_of(recipe.name),
            control=(beside, self._bench.record(copy[0]).without(discarded)) if copy else None,
            reference_baseline=self._stored.get(reference),
            yardstick=tuple(
                launch for launch in self._bench.yardsticks.cores if launch.index not in discarded
            ),
            device_yardsticks={
                gpu: tuple(launch for launch in launches if launch.index not in discarded)
                for gpu, launches in self._bench.yardsticks.devices.items()
            },
            pace=self.pace,
            metrics=self._metrics,
            loud=steadiness.mostly_unsteady(self._bench.conditions),
        )

    def record(self, name: str) -> RecipeRecord:
        """What was measured of a recipe, all launches."""
        skipped, search = self.skipped.get(name), self._searches.get(name)
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

    def discarded(self) -> frozenset[int]:
        """Launches that do not count: the machine was unsteady, whatever they measured."""
        return frozenset(steadiness.discards(self._bench.conditions))

    def _base_of(self, name: str) -> Base | None:
        if self._base is None:
            return None
        commit = self._base.commit.name
        if at_base(name) not in self._bench.labels:
            return Base(commit, problem=self._arms.problems.get(name, "it was not measured there"))
        record = self._bench.record(at_base(name))
        if record.failure is None:
            return Base(commit, record.without(self.discarded()))
        problem = f"the recipe could not be measured at {commit}: {record.failure.problem}"
        self._arms.problems[name] = problem
        return Base(commit, problem=problem)

    def base_record(self) -> BaseRecord | None:
        """The recipes at the base, None without `--perf-base`."""
        if self._base is None:
            return None
        labels = [label for name in self._wanted if (label := at_base(name)) in self._bench.labels]
        return BaseRecord(
            ref=self._base.commit.ref,
            commit=self._base.commit.commit,
            python=self._base.python,
            packages=self._base.packages,
            recipes=tuple(self._bench.record(label) for label in labels),
            problems=self._arms.problems,
        )

    def suspects(self) -> tuple[str, ...]:
        """Differences between now and what was there when the baselines were stored, in words."""
        if self._base is not None:
            return ()
        lines: dict[str, None] = {}
        for name, baseline in self._stored.items():
            suspects = suspects_of(baseline, self.record(name), self._here.environment)
            lines |= dict.fromkeys(suspects)
        return tuple(lines)
