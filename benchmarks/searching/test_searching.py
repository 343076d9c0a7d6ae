"""The search of `docs/steps.md`."""

from pytest_perfgate.plugin.outcome import BudgetCheck


def test_budget(budget: BudgetCheck) -> None:
    """What was found keeps every one of its budgets."""
    budget.check()
