"""The arms of one suite: which there are, and which of them take turns beside which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.metric import (
    ALLOCATED_BYTES,
    ALLOCATIONS,
    MEMORY_GROWTH,
    PARITY,
    Metric,
    Rule,
)
from pytest_perfgate.records.launch_values import PAIRED
from pytest_perfgate.records.recipe import LimitKind, Recipe, Suite
from pytest_perfgate.records.soak import SOAK_METRICS
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.session.suite_at import BaseTree, SuiteAt

_BESIDE = LimitKind.SPEEDUP, LimitKind.GROWTH, LimitKind.DROP


class Arms:
    """Every recipe that is asked for, their references and an unchanged copy of each, and every
    recipe at the base.

    Args:
        wanted: recipe names and the metrics asked of them.
        metrics: those of the suite's task, by name.
        base: the other version of the code, None for none.
        fetch: gives the base's suite with what it names in stores.
        hopeless: recipes that will not be measured, so that nothing is needed beside them.
        values: of recipes whose ranges were filled in, by their places: the base gets the same.

    Attributes:
        recipes: those asked for and the references that they are compared with.
        problems: recipe name to why it has no arm at the base.
        notes: what people should know of the base.
    """

    def __init__(
        self,
        suite: Suite,
        wanted: Mapping[str, Sequence[str]],
        metrics: Mapping[str, Metric],
        base: BaseTree | None,
        *,
        fetch: Callable[[Suite], Suite] = lambda suite: suite,
        hopeless: Collection[str] = (),
        values: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._suite = suite
        self._wanted = wanted
        self._metrics = metrics
        self._base = base
        self._values = values or {}
        self._fetch = fetch
        self.problems: dict[str, str] = {}
        self.notes: list[str] = []
        names = dict.fromkeys(wanted) | {
            suite.recipes[name].reference: None for name in wanted if name not in hopeless
        }
        self.recipes = [recipe for name, recipe in suite.recipes.items() if name in names]

    @property
    def references(self) -> list[str]:
        """The recipes that others are compared with."""
        return list(dict.fromkeys(recipe.reference for recipe in self.recipes))

    def all(self, skipped: Collection[str]) -> list[Arm]:
        """Every arm, but for recipes that cannot run here."""
        arms = [
            Arm(
                recipe.name,
                self._suite,
                recipe,
                parity=self._parity(recipe),
                growth=MEMORY_GROWTH in self._wanted.get(recipe.name, ()),
                allocations=self._allocations(recipe),
                soak=not SOAK_METRICS.isdisjoint(self._wanted.get(recipe.name, ())),
            )
            for recipe in self.recipes
            if recipe.name not in skipped
        ]
        arms += [
            Arm(copy_of(arm.label), arm.suite, arm.recipe, copy_of=arm.label)
            for arm in arms
            if arm.label in self.references
        ]
        return arms + (self._at_base(self._base, skipped) if self._base else [])

    def _at_base(self, base: BaseTree, skipped: Collection[str]) -> list[Arm]:
        if self._wanted.keys() <= set(skipped):  # nothing is measured, and nothing fetched for it
            return []
        there = SuiteAt(self._suite, base, self._fetch)
        self.notes += there.notes
        arms = []
        for name in self._wanted:
            if name in skipped:
                continue
            try:
                arm = there.arm(name, at_base(name), self._values.get(name, {}))
                counted = self._allocations(self._suite.recipes[name])
                arms.append(replace(arm, allocations=counted))
            except PerfgateError as error:
                self.problems[name] = error.problem
        return arms

    def blocks(self, verdicts: Iterable[Verdict] | None = None) -> list[tuple[str, ...]]:
        """Labels of arms that take turns at every inference: those that a limit compares.

        Args:
            verdicts: only what these, still open, rest on; None for everything.
        """
        compared = self._open(verdicts) if verdicts is not None else self._metrics_at_base()
        blocks: dict[tuple[str, ...], None] = {}
        for recipe in self.recipes:
            if recipe.name not in compared:
                continue
            reference, base = compared[recipe.name]
            block = [recipe.name]
            if base and recipe.name not in self.problems:
                block.append(at_base(recipe.name))
            if not recipe.is_reference and reference:
                block.append(recipe.reference)
            if recipe.is_reference:
                block.append(copy_of(recipe.name))
            blocks[tuple(block)] = None
        # An unchanged copy runs in every launch, beside what it is a copy of.
        for name in dict.fromkeys(self._suite.recipes[recipe].reference for recipe in compared):
            if name not in compared:
                blocks[name, copy_of(name)] = None
        return list(blocks)

    def paired(self) -> list[str]:
        """Labels of the arms whose requests are compared one by one: a limit compares the metric
        with the reference, or with the base.
        """
        labels: dict[str, None] = {}
        for recipe in self.recipes:
            kinds = {
                limit.kind
                for budget in recipe.budgets
                if budget.metric == PAIRED and PAIRED in self._wanted.get(recipe.name, ())
                for limit in budget.limits
            }
            if kinds.intersection((*_BESIDE, LimitKind.REGRESSION)):
                names = (recipe.name, at_base(recipe.name), recipe.reference)
                labels |= dict.fromkeys((*names, copy_of(recipe.reference)))
        return list(labels)

    def _metrics_at_base(self) -> dict[str, tuple[bool, bool]]:
        """Recipe name to whether it is compared with its reference, and with its base."""
        compared = {}
        for recipe in self.recipes:
            metrics = self._wanted.get(recipe.name, ())
            kinds = {
                limit.kind
                for budget in recipe.budgets
                if budget.metric in metrics and self._by_launches(budget.metric)
                for limit in budget.limits
            }
            base = self._base is not None and recipe.name in self._wanted
            # What is stored is stored beside the reference's.
            compared[recipe.name] = (not base or bool(kinds.intersection(_BESIDE)), base)
        return compared

    def _open(self, verdicts: Iterable[Verdict]) -> dict[str, tuple[bool, bool]]:
        compared: dict[str, tuple[bool, bool]] = {}
        for verdict in verdicts:
            kinds = {limit.kind for limit in verdict.limits if limit.status is Status.INCONCLUSIVE}
            reference, base = compared.get(verdict.recipe, (False, False))
            against_base = self._base is not None and LimitKind.REGRESSION.value in kinds
            against_stored = self._base is None and LimitKind.REGRESSION.value in kinds
            beside = against_stored or bool(kinds.intersection(kind.value for kind in _BESIDE))
            compared[verdict.recipe] = (reference or beside, base or against_base)
        return compared

    def _parity(self, recipe: Recipe) -> float | None:
        """The limit on a recipe's parity, None when no verdict on it is asked for."""
        wanted = PARITY in self._wanted.get(recipe.name, ())
        limits = [
            limit.value
            for budget in recipe.budgets
            if wanted and budget.metric == PARITY
            for limit in budget.limits
        ]
        return min(limits, default=None)

    def _allocations(self, recipe: Recipe) -> bool:
        """Whether a verdict on allocations is asked for: on its own, or on those beside it."""
        return any(
            not {ALLOCATIONS, ALLOCATED_BYTES}.isdisjoint(metrics)
            for name, metrics in self._wanted.items()
            if recipe.name in {name, self._suite.recipes[name].reference}
        )

    def _by_launches(self, metric: str) -> bool:
        known = self._metrics.get(metric)
        return known is not None and known.rule is Rule.LAUNCHES


def copy_of(reference: str) -> str:
    """The label of a reference's unchanged copy; no recipe's name has an @."""
    return f"{reference}@copy"


def at_base(name: str) -> str:
    """The label of a recipe at the base's version of the code."""
    return f"{name}@base"


def recipe_at_base(label: str) -> str:
    """The recipe of an arm at the base, "" for another arm."""
    name, _, of_base = label.partition("@")
    return name if of_base == "base" else ""
