"""A budget on the growth of memory."""

from __future__ import annotations

import pytest

from tests.conftest import Project, said
from tests.squares import RECIPES

SUITE = RECIPES.replace('peak_memory = { max = "100 MB" }', 'memory_growth = { max = "2 MB" }')


def test_a_leak_is_red_and_its_size_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 kB of every inference are 20 MB of a thousand. Nothing else tells: the peak of a launch
    is over a few dozen.
    """
    project.write(SUITE)
    monkeypatch.setenv("MOODY_SECONDS", "0")
    project.run("-k", "memory_growth")
    assert project.verdicts() == {"moody-memory_growth": "PASS"}
    monkeypatch.setenv("MOODY_KEEP", "20000")
    result = project.run("-k", "memory_growth")
    assert project.verdicts() == {"moody-memory_growth": "FAIL"}
    said(result, "memory_growth is 2", "max 2 MB is broken")
    growth = project.sessions()[-1]["suites"][0]["recipes"][1]["growth"]
    assert len(growth["stretches"]) == 20


def test_growth_is_compared_with_nothing(project: Project) -> None:
    """It takes max, and says so."""
    project.write(
        SUITE.replace('memory_growth = { max = "2 MB" }', 'memory_growth = { growth = "5%" }')
    )
    result = project.run("-k", "moody")
    said(result, "growth does not fit memory_growth (this metric is never compared)")
