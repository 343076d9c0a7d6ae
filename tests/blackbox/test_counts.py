"""Budgets on counts, in a session that launches nothing."""

from __future__ import annotations

import pytest

from tests.conftest import Project, said
from tests.squares import RECIPES

BUDGETS = """\
multiply_adds   = { max = 10000, growth = "0%" }
parameters      = { growth = "0%" }
nodes           = { max = 3 }
page_faults     = { max = 0 }
allocations     = { growth = "100%" }
allocated_bytes = { max = "1 MB" }
instructions    = { max = 1000000000 }
"""
SUITE = RECIPES.replace('peak_memory = { max = "100 MB" }', BUDGETS)
COUNTS = (
    "multiply_adds or parameters or nodes or page_faults or allocations or allocated_bytes "
    "or instructions"
)


def test_counts_are_judged_at_once_and_what_is_too_much_is_red(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No launch is made for them, the page has them, and each inference that keeps megabytes for
    itself is seen: new pages in page faults, the blocks in allocations.
    """
    pytest.importorskip("memray", reason="python -m pip install 'pytest-perfgate[allocations]'")
    monkeypatch.setenv("MOODY_SECONDS", "0")
    monkeypatch.setenv("MOODY_KEEP", "3000000")
    project.write(SUITE)
    result = project.run("-k", COUNTS, page=True)
    told = project.verdicts()
    instructions = told.pop("moody-instructions")
    assert told == {
        "moody-multiply_adds": "FAIL",  # 49 windows of 16 x 16 pixels and 3 channels
        "moody-parameters": "PASS",
        "moody-nodes": "FAIL",
        "moody-page_faults": "FAIL",
        "moody-allocations": "PASS",
        "moody-allocated_bytes": "FAIL",
    }
    said(result, "multiply_adds is 37,632: max 10000 is broken")
    suite = project.sessions()[-1]["suites"][0]
    assert all(not recipe["launches"] for recipe in suite["recipes"])
    assert suite["phases"]["measure"] < 1.0
    plain, moody = (recipe["counts"] for recipe in suite["recipes"])
    assert plain["values"]["multiply_adds"] == moody["values"]["multiply_adds"]
    assert plain["kinds"]["Sigmoid"] == 1
    faults = moody["values"]["page_faults"]
    assert faults > 700 > plain["values"]["page_faults"]
    page = next((project.root / "reports").glob("*.html")).read_text()
    assert "37,632" in page
    if instructions != "PASS":
        assert instructions == "ERROR"
        said(result, "instructions was not measured: the kernel offers no hardware counters here")
