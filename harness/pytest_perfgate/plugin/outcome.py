"""What a perf test receives, and how a verdict becomes the test's outcome."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report import terminal


@dataclass(frozen=True)
class BudgetCheck:
    """The verdict on one budget.

    Attributes:
        verdict: with the evidence that led to it.
        record: all that was measured of the recipe, None where nothing was.
        strict: INCONCLUSIVE and NO BASELINE fail too.
    """

    verdict: Verdict
    record: RecipeRecord | None
    strict: bool

    def check(self) -> None:
        """Passes when the budget is kept, fails when it is broken, with a table that says why.

        INCONCLUSIVE and NO BASELINE are shown as such and do not fail, unless `--perf-strict`.
        """
        __tracebackhide__ = True
        verdict = self.verdict
        if verdict.status is Status.PASS:
            return
        soft = verdict.status in {Status.INCONCLUSIVE, Status.NO_BASELINE, Status.SKIPPED}
        if soft and not (self.strict and verdict.status is not Status.SKIPPED):
            pytest.skip(f"{verdict.status.value}: {verdict.reason}")
        pytest.fail(explain(verdict, self.record), pytrace=False)


def explain(verdict: Verdict, record: RecipeRecord | None) -> str:
    """The table of a verdict that is not PASS."""
    return terminal.explain(verdict, record.failure if record else None)
