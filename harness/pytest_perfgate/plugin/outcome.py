"""What a perf test receives, and how a verdict becomes the test's outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from pytest_perfgate.plain_text import printable
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
        if verdict.status in {Status.INCONCLUSIVE, Status.NO_BASELINE} and not self.strict:
            pytest.skip(printable(f"{verdict.status.value}: {verdict.reason}"))
        pytest.fail(explain(verdict, self.record), pytrace=False)


def settle(
    verdict: Verdict,
    record: RecipeRecord | None,
    *,
    name: str,
    strict: bool,
    allowed: Sequence[str],
    target: str = "",
) -> None:
    """Ends a test whose budget was not measured: ERROR fails, and so does SKIPPED where `strict`
    is set and no pattern of `allowed` fits the budget on `target`; else SKIPPED skips. UNAFFECTED
    skips where an earlier session measured that the budget is kept, or where `strict` is not set,
    and fails else. NO MACHINE skips, and fails where `strict` is set.
    """
    __tracebackhide__ = True
    if verdict.status is Status.ERROR:
        pytest.fail(explain(verdict, record), pytrace=False)
    if verdict.status is Status.NO_MACHINE:
        if strict:
            pytest.fail(explain(verdict, record), pytrace=False)
        step = f" ({verdict.next_step})" if verdict.next_step else ""
        pytest.skip(printable(f"{verdict.status.value}: {verdict.reason}{step}"))
    if verdict.status is Status.UNAFFECTED:
        if strict and not verdict.is_proven_earlier:
            pytest.fail(explain(verdict, record), pytrace=False)
        pytest.skip(printable(f"{verdict.status.value}: {verdict.reason}"))
    if verdict.status is not Status.SKIPPED:
        return
    step = f" ({verdict.next_step})" if verdict.next_step else ""
    if strict and not verdict.fits(allowed, target):
        pytest.fail(
            f"{explain(verdict, record)}\n\nSKIPPED fails under --perf-strict. Where this machine "
            f"may skip it: --perf-allow-skip={name}",
            pytrace=False,
        )
    pytest.skip(printable(f"{verdict.reason}{step}"))


def explain(verdict: Verdict, record: RecipeRecord | None) -> str:
    """The table of a verdict that is not PASS."""
    return terminal.explain(verdict, record.failure if record else None)
