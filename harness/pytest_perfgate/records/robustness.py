"""Names of metrics of corrupted images."""

from __future__ import annotations

from pytest_perfgate.metric import AT

ROBUSTNESS = "robustness"


def score_under(main: str, corruption: str) -> str:
    """The metric of a task's main score under a corruption: `map@fog`."""
    return f"{main}{AT}{corruption}"


def is_corrupted(name: str) -> bool:
    """Whether a score without a scope, by its name, is of corrupted images."""
    return name == ROBUSTNESS or AT in name
