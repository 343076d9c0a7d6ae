"""How long a launch may take."""

from __future__ import annotations

_LAUNCH_SECONDS, _BLOCK_SECONDS = 1.5, 0.3
"""Rounds of a launch stop after this, and this for every block of arms, when arms are slow:
verdicts count launches, not samples. Shorter would be no faster: meanwhile the next launch imports
its frameworks and loads its arms."""


def launch_seconds(blocks: int) -> float:
    """How long the rounds of a launch may take, when its arms are slow."""
    return _LAUNCH_SECONDS + _BLOCK_SECONDS * blocks
