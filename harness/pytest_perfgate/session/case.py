"""One test of a suite file: a budget of a recipe, or what stands in for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One test: a budget of a recipe on a target, "" for none, or what stands in for it."""

    file: Path
    recipe: str
    metric: str
    target: str = ""

    @property
    def name(self) -> str:
        """As in the test's id."""
        place = f"@{self.target}" if self.target else ""
        return f"{self.recipe or self.file.name}-{self.metric}{place}"
