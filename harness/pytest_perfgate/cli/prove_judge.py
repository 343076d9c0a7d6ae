"""What budgets say of a candidate of `pytest-perfgate prove`: by the judging of sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pytest_perfgate.cli.prove_candidates import Candidate, Sizes
from pytest_perfgate.cli.prove_lines import lines_for
from pytest_perfgate.cli.prove_record import RED, Cell, Row
from pytest_perfgate.machine import steadiness
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.metric import MEMORY_GROWTH, PARITY, Rule
from pytest_perfgate.proving.catalogue import REFUSED, Fault
from pytest_perfgate.records.recipe import Budget, Recipe, Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.session.arms import copy_of
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.verdicts.conditions import why_not
from pytest_perfgate.verdicts.evidence import Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge

_BASE = "the recipe without the change"

Grow = Callable[[Candidate], Candidate]
"""Measures the growth of a candidate's memory, and of the clean recipe's."""


class ProofJudge:
    """Judges the arms of one recipe: the clean recipe is the base.

    Args:
        suite: whole.
        recipe: that is proven.
        machine: that it is proven on; budgets that do not apply here are left out.
        alpha: the chance that any budget of an unchanged session turns red.

    Attributes:
        metrics: of the suite's task, by name.
        budgets: of the recipe, by metric.
        risk: of a limit: its share of alpha, as in a session of the whole suite.
        twin: the label of an unchanged copy of the recipe.
        turns: label to the number of launches that it was measured in.
    """

    def __init__(self, suite: Suite, recipe: Recipe, machine: Machine, alpha: float) -> None:
        self._recipe = recipe
        self._reference = suite.recipes[recipe.reference]
        self.metrics = metrics_of(suite.task, suite.scopes)
        self.budgets = {
            budget.metric: budget for budget in recipe.budgets if not why_not(budget.when, machine)
        }
        self.risk = Risk(fail=alpha / self._limits(suite))
        self.twin = copy_of(recipe.name)
        self.turns: dict[str, int] = {}
        self._now = datetime.now(UTC)

    def _limits(self, suite: Suite) -> int:
        """How many limits of the suite share alpha."""
        counted = [
            len(budget.limits)
            for recipe in suite.recipes.values()
            for budget in recipe.budgets
            if self.metrics[budget.metric].rule not in {Rule.EXACT, Rule.ONCE}
        ]
        return max(1, sum(counted))

    def verdict(self, budget: Budget, label: str, bench: Bench) -> Verdict:
        """The verdict on a budget of an arm."""
        metric = self.metrics[budget.metric]
        return judge(budget, metric, self._evidence(label, bench), self.risk, self._now)

    def _evidence(self, label: str, bench: Bench) -> Evidence:
        discarded = frozenset(steadiness.discards(bench.conditions))

        def record(of: str) -> RecipeRecord:
            return bench.record(of).without(discarded)

        reference = record(self._reference.name)
        return Evidence(
            record=record(label),
            reference=None if self._recipe.is_reference else reference,
            base=Base(_BASE, record(self._recipe.name)),
            control=(reference, record(copy_of(self._reference.name))),
            metrics=self.metrics,
            loud=steadiness.mostly_unsteady(bench.conditions),
        )

    def red_before(self, bench: Bench) -> dict[str, str]:
        """Budgets that are red without any change, with the reason: what they say of a fault proves
        nothing.
        """
        launched = bool(bench.record(self.twin).launches)
        verdicts = {
            name: self.verdict(budget, self.twin, bench)
            for name, budget in self.budgets.items()
            if launched or self.metrics[name].rule is not Rule.LAUNCHES
        }
        return {name: verdict.reason for name, verdict in verdicts.items() if verdict.status in RED}

    def is_open(self, label: str, bench: Bench, *, late: bool) -> bool:
        """Whether more launches may say something of the arm of a fault: nothing is red yet, and,
        once it is late, something is undecided.
        """
        verdicts = [
            self.verdict(budget, label, bench)
            for budget in self.budgets.values()
            if self.metrics[budget.metric].rule is Rule.LAUNCHES
        ]
        if any(verdict.status in RED for verdict in verdicts):
            return False
        return not late or any(verdict.status is Status.INCONCLUSIVE for verdict in verdicts)

    # -- rows of the matrix ----------------------------------------------------------------

    def row(
        self, candidate: Candidate, before: Mapping[str, str], sizes: Sizes, bench: Bench
    ) -> Row:
        """What became of every budget."""
        fault = candidate.fault
        failure = bench.failures.get(candidate.label)
        absent = candidate.absent
        if failure is not None and failure.problem.startswith(REFUSED):
            absent = failure.problem
        elif failure is None and fault is not None and not absent and not fault.timed:
            absent = self._without_effect(fault, candidate.label, bench)
        common = {
            "name": candidate.name,
            "what": fault.what if fault else "",
            "size": sizes.words(fault) if fault else "",
        }
        if fault and absent:
            return Row(**common, absent=absent.removeprefix(REFUSED))
        if absent:  # a harmless change that could not be made is not green
            cells = [Cell(metric=name, status=Status.ERROR, reason=absent) for name in self.budgets]
        else:
            cells = [
                self._cell(budget, candidate, before, bench) for budget in self.budgets.values()
            ]
        return Row(**common, cells=tuple(cells), timed=self.turns.get(candidate.label, 0))

    def _without_effect(self, fault: Fault, label: str, bench: Bench) -> str:
        """Why a fault of predictions is none with this data, "" where one changes."""
        ours, clean = bench.record(label).accuracy, bench.record(self._recipe.name).accuracy
        of_predictions = fault.evaluated and "load_time_cold" not in fault.metrics
        if not of_predictions or ours is None or clean is None:
            return ""
        same = ours.predictions_digest == clean.predictions_digest
        return "no prediction of the validation images changes by it" if same else ""

    def _cell(
        self, budget: Budget, candidate: Candidate, before: Mapping[str, str], bench: Bench
    ) -> Cell:
        metric, name = self.metrics[budget.metric], budget.metric
        failed, record = candidate.label in bench.failures, bench.record(candidate.label)
        unmeasured = (
            (metric.rule is Rule.LAUNCHES and candidate.label not in self.turns)
            or (name == PARITY and record.parity is None)
            or (name == MEMORY_GROWTH and record.growth is None)
        )
        if unmeasured and not failed:
            return Cell(metric=name)
        verdict = self.verdict(budget, candidate.label, bench)
        counts = name not in before
        return Cell(metric=name, status=verdict.status, reason=verdict.reason, counts=counts)

    def with_lines(self, row: Row, candidate: Candidate, bench: Bench, grow: Grow) -> Row:
        """The row of a fault that no budget sees, with the budget that would."""
        fault = candidate.fault
        if fault is None or row.absent or row.red:
            return row
        lines = self._lines(fault, candidate, bench)
        if not lines and MEMORY_GROWTH in fault.metrics and MEMORY_GROWTH not in self.budgets:
            lines = self._lines(fault, grow(candidate), bench)
        return row.model_copy(update={"lines": lines, "hint": "" if lines else self._hint(fault)})

    def _lines(self, fault: Fault, candidate: Candidate, bench: Bench) -> tuple[str, ...]:
        def unchanged(budget: Budget) -> Verdict:
            once = self.metrics[budget.metric].rule is not Rule.LAUNCHES
            return self.verdict(budget, self._recipe.name if once else self.twin, bench)

        return lines_for(
            fault.metrics,
            self.budgets,
            self.metrics,
            bench.record(self._recipe.name),
            is_reference=self._recipe.is_reference,
            fault=lambda budget: self.verdict(budget, candidate.label, bench),
            unchanged=unchanged,
        )

    def _hint(self, fault: Fault) -> str:
        names = [name for name in fault.metrics if name in self.metrics]
        metrics = ", ".join(names) or next(iter(self.metrics))
        return f"no limit on {metrics} could be proven to see it with this data and this machine"
