"""Names of metrics of corrupted images."""

from __future__ import annotations

ROBUSTNESS = "robustness"


def score_under(main: str, corruption: str) -> str:
    """The metric of a task's main score under a corruption: `map@fog`."""
    return f"{main}@{corruption}"
