"""What is observed once: `build_time` and `load_time_cold`, in a whole session."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Project
from tests.squares import RECIPES

INT8 = """
[[recipe]]
name    = "int8"
from    = "plain"
steps   = [{ quantize = "static", samples = 2, op_types_to_quantize = ["Conv"] }]
[recipe.budgets]
build_time     = { max = "0.1 ms" }
load_time_cold = { max = "60 s" }
"""


@pytest.mark.slow
def test_a_build_is_judged_by_its_one_observation_and_remembered(project: Project) -> None:
    """A limit below it fails, one above is kept; a second session tells the same times from the
    cache; the page shows both, and a stored baseline neither.
    """
    project.write(RECIPES + INT8)
    result = project.run("-k", "int8", "--perf-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL  int8  build_time", "*max 0.1 ms is broken; observed once*"])
    project.run("-k", "int8", page=True)
    outcome = []
    for session in project.sessions():
        (suite,) = session["suites"]
        times = {summary["metric"]: summary["value"] for summary in suite["summaries"]["int8"]}
        (record,) = (recipe for recipe in suite["recipes"] if recipe["name"] == "int8")
        assert times["build_time"] == pytest.approx(
            sum(e["seconds"] for e in record["lineage"][1:])
        )
        assert times["load_time_cold"] == record["load_time_cold"] > 0
        outcome.append((times["build_time"], times["load_time_cold"]))
    assert outcome[0] == outcome[1]
    assert project.verdicts() == {"int8-build_time": "FAIL", "int8-load_time_cold": "PASS"}
    (page,) = (project.root / "reports").glob("[0-9]*.html")
    assert "build_time" in page.read_text()
    assert "load_time_cold" in page.read_text()
    for file in (project.root / "baselines").rglob("*.json"):
        assert not {"build_time", "load_time_cold"} & json.loads(file.read_text())["metrics"].keys()
