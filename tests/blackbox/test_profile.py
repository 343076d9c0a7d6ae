"""`--perf-profile`: a broken budget on time says where the time went, unless it is asked not to."""

from __future__ import annotations

import pytest

from tests.conftest import RECIPES, Project, said

TIGHT = RECIPES.replace('max = "2 s", regression = "40%"', 'max = "1 us"').replace(
    'latency_p50 = { regression = "40%" }', 'latency_p50 = { max = "1 us" }'
)


@pytest.mark.slow
def test_a_broken_budget_on_time_names_operators(project: Project) -> None:
    """In the failure's text, the summary, the session's file and the page."""
    project.write(TIGHT)
    result = project.run("-k", "latency_p50", "--perf-seconds", "90")
    result.assert_outcomes(failed=2)
    said(result, "beside the reference plain: preprocess", "inference +", "operators: ")
    said(result, "there is nothing to lay it beside: --perf-base REF")
    (suite,) = project.sessions()[-1]["suites"]
    assert suite["phases"]["profile"] > 0
    for record in suite["recipes"]:
        profile = record["profile"]
        assert profile["tool"] == "ONNX Runtime's profiling"
        assert "conv" in {each["kind"].lower() for each in profile["operators"]}
        assert profile["seconds"] > 0
    for verdict in suite["verdicts"]:
        assert len(verdict["slower"]) == 2
    (page,) = (project.root / "reports").glob("*.html")
    text = page.read_text()
    assert "Where an inference" in text
    assert "<td>Conv</td>" in text


@pytest.mark.slow
def test_none_profiles_nothing_and_all_profiles_what_is_kept(project: Project) -> None:
    """`none` leaves a broken budget without; `all` takes profiles when nothing is broken."""
    project.write(TIGHT)
    project.run("-k", "plain-latency_p50", "--perf-profile", "none", "--perf-seconds", "90")
    assert project.verdicts() == {"plain-latency_p50": "FAIL"}
    (suite,) = project.sessions()[-1]["suites"]
    assert suite["recipes"][0]["profile"] is None
    assert suite["verdicts"][0]["slower"] == []
    assert "profile" not in suite["phases"]
    project.write()
    project.run("-k", "moody-map", "--perf-profile", "all")
    (suite,) = project.sessions()[-1]["suites"]
    assert all(record["profile"]["operators"] for record in suite["recipes"])
    assert suite["verdicts"][0]["slower"] == []
