"""Holds the recipes of the digit detector to their budgets."""


def test_budget(budget):
    """Every recipe keeps every one of its budgets."""
    budget.check()
