"""Holds what is around the digit detector to its budgets: loading, pipelines, batches."""

from pytest_perfgate.plugin.outcome import BudgetCheck


def test_budget(budget: BudgetCheck) -> None:
    """Every recipe keeps every one of its budgets."""
    budget.check()
