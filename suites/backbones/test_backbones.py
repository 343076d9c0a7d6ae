"""Holds the family of backbones to its budgets."""

from pytest_perfgate.plugin.outcome import BudgetCheck


def test_budget(budget: BudgetCheck) -> None:
    """Every recipe keeps every one of its budgets."""
    budget.check()
