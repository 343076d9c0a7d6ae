"""Holds the recipes of the detector to what they keep of their score in haze."""

from pytest_perfgate.plugin.outcome import BudgetCheck


def test_budget(budget: BudgetCheck) -> None:
    """Every recipe keeps every one of its budgets."""
    budget.check()
