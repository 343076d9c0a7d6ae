"""The selected tests of one suite, by the kind of machine that they are measured on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pytest_perfgate.metric import Rule
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.session.case import Case
from pytest_perfgate.session.failed_suite import BROKEN
from pytest_perfgate.session.suite_judge import MEASURED
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.reading import SuiteFile

Wanted = dict[str, list[str]]
"""Recipe name to the metrics that tests were selected for."""


@dataclass
class Plan:
    """The selected tests of one suite.

    Attributes:
        wanted: what is to be measured, by target; "" for none.
    """

    read: SuiteFile
    wanted: dict[str, Wanted] = field(default_factory=dict)

    def select(self, case: Case) -> None:
        """Adds a test."""
        self.wanted.setdefault(case.target, {}).setdefault(case.recipe, []).append(case.metric)

    @property
    def limits(self) -> int:
        """How many of the selected limits have a known uncertainty, over all targets."""
        suite = self.read.suite
        return sum(limits_of(suite, wanted) for wanted in self.wanted.values()) if suite else 0


def limits_of(suite: Suite, wanted: Wanted) -> int:
    """How many of the limits that are wanted have a known uncertainty."""
    metrics, total = metrics_of(suite.task, suite.scopes), 0
    for name, selected in wanted.items():
        recipe = suite.recipes.get(name)
        for budget in recipe.budgets if recipe else ():
            rule = metrics[budget.metric].rule
            if budget.metric in selected and rule not in {Rule.EXACT, Rule.ONCE}:
                total += len(budget.limits)
    return total


def cases_of(read: SuiteFile, file: Path) -> list[Case]:
    """Every test of a suite file: a recipe that cannot be read has one, any other one of each of
    its budgets on each of the suite's targets.
    """
    if read.suite is None:
        return [Case(file, "", BROKEN)]
    cases = [Case(file, name, BROKEN) for name in read.problems]
    for target in read.suite.targets or ("",):
        for recipe in read.suite.recipes.values():
            names = [budget.metric for budget in recipe.budgets] or [MEASURED]
            cases += [Case(file, recipe.name, name, target) for name in names]
    return cases
