"""Holds the recipes of the digit detector to their budgets by day and by night."""

from pytest_perfgate.plugin.outcome import BudgetCheck


def test_budget(budget: BudgetCheck) -> None:
    """Every recipe keeps every one of its budgets."""
    budget.check()
