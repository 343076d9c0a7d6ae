"""Holds every step and runtime that this machine can run, on the digit detector, to its budgets."""

from pytest_perfgate.plugin.outcome import BudgetCheck


def test_budget(budget: BudgetCheck) -> None:
    """Every recipe keeps every one of its budgets."""
    budget.check()
