"""`--perf`: what runs, what is shown, and that each gate can turn red."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from tests.conftest import DECIDED, Project
from tests.squares import RECIPES


def test_without_perf_nothing_is_measured(project: Project) -> None:
    """Without `--perf` a suite is one skipped test that says how to run it."""
    result = project.run("-rs", perf=False)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*perf tests run with: pytest --perf*"])
    assert not (project.root / "reports").exists()


def test_one_test_per_recipe_and_budget(project: Project) -> None:
    """`--collect-only` lists a real test for every budget, and measures nothing."""
    result = project.run("--collect-only", "-q")
    result.stdout.fnmatch_lines(
        [
            "*::test_budget[[]plain-map[]]",
            "*::test_budget[[]plain-latency_p50[]]",
            "*::test_budget[[]plain-artifact_size[]]",
            "*::test_budget[[]moody-map[]]",
        ]
    )
    assert not (project.root / "reports").exists()


def test_a_session_ends_with_verdicts_and_a_report(project: Project) -> None:
    """The first run is green: NO BASELINE where one is needed, PASS else, and a report's path."""
    result = project.run("--junitxml", "junit.xml", *DECIDED, page=True)
    assert result.ret == 0
    verdicts = project.verdicts()
    assert verdicts["plain-map"] == "NO BASELINE"
    assert verdicts["plain-artifact_size"] == "PASS"
    assert verdicts["moody-map"] == "PASS"
    assert verdicts["moody-peak_memory"] == "PASS"
    result.stdout.fnmatch_lines(["*report: reports/*.html", "*passed*no baseline*"])
    assert len(list((project.root / "reports").glob("[0-9]*.html"))) == 1
    (suite,) = project.sessions()[-1]["suites"]
    launches = [launch["index"] for launch in suite["yardstick"]]
    assert [seen["index"] for seen in suite["conditions"]] == launches
    assert all(seen["seconds"] > 0 for seen in suite["conditions"])
    cases = ElementTree.parse(project.root / "junit.xml").findall(".//testcase")  # noqa: S314 - own
    told = {case.get("name"): case for case in cases}
    skipped = told["test_budget[plain-map]"].find("skipped")
    assert skipped is not None
    assert "NO BASELINE" in str(skipped.get("message"))


def test_k_measures_only_what_is_asked_and_its_reference(project: Project) -> None:
    """`-k` leaves recipes out, but never the reference that others are compared with."""
    project.write(RECIPES + '\n[[recipe]]\nname = "third"\nfrom = "plain"\n')
    assert project.run("-k", "moody-map").ret == 0
    (suite,) = project.sessions()[-1]["suites"]
    assert [record["name"] for record in suite["recipes"]] == ["plain", "moody"]
    assert [verdict["metric"] for verdict in suite["verdicts"]] == ["map"]


def test_an_accuracy_that_is_lost_turns_map_red_and_nothing_else(
    project: Project, moody: Callable[..., None]
) -> None:
    """A recipe that finds nothing any more fails its accuracy budget, and says why."""
    moody("finds_nothing", stage="evaluate")
    result = project.run("-k", "moody", *DECIDED)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["FAIL  moody  map", "*measured *0.0000*", "*drop 0.02*reference plain*", "*next *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert [name for name, word in project.verdicts().items() if word == "FAIL"] == ["moody-map"]


def test_a_leak_turns_memory_red_and_nothing_else(
    project: Project, moody: Callable[..., None]
) -> None:
    """100 MB beside a budget of 100 MB for all of it fail it."""
    moody(leak="1e8")
    project.run("-k", "moody", *DECIDED)
    assert [name for name, word in project.verdicts().items() if word == "FAIL"] == [
        "moody-peak_memory"
    ]


@pytest.mark.slow
def test_a_slow_down_turns_latency_red_and_undoing_it_green(
    project: Project, moody: Callable[..., None]
) -> None:
    """Against a stored baseline twenty times the latency fails, and the old one passes again: each
    by far, since both are read through the yardstick, which has a neighbour in one session and none
    in another.
    """
    project.write(RECIPES.replace('regression = "40%"', 'regression = "400%"'))
    assert project.run("--perf-update", *DECIDED).ret == 0
    moody(seconds="0.06")
    slow = project.run("-k", "moody", *DECIDED)
    assert slow.ret == 1
    assert [name for name, word in project.verdicts().items() if word == "FAIL"] == [
        "moody-latency_p50"
    ]
    slow.stdout.fnmatch_lines(["*regression 400%*baseline of*", "*--perf-reason*"])
    moody(seconds="0.002")
    project.run("-k", "moody", *DECIDED)
    assert project.verdicts()["moody-latency_p50"] == "PASS"


def test_a_second_run_builds_nothing(project: Project) -> None:
    """Artifacts come from the cache when nothing that they depend on has changed."""
    project.forget()
    project.run("-k", "plain-artifact_size")
    project.run("-k", "plain-artifact_size")
    first, second = (session["suites"][0]["recipes"][0] for session in project.sessions())
    assert not any(link["cached"] for link in first["lineage"])
    assert all(link["cached"] for link in second["lineage"])
    assert first["artifact"]["digest"] == second["artifact"]["digest"]


def test_a_budget_for_other_machines_says_so(project: Project) -> None:
    """`when` leaves a budget out on a machine that lacks something, by name."""
    project.write(
        RECIPES.replace('{ max = "1 MB" }', '{ max = "1 MB", when = { cpu = "svef64mm" } }')
    )
    result = project.run("-k", "artifact_size", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*does not apply*: the CPU has no svef64mm*"])


def test_x_stops_at_the_first_broken_budget(project: Project, moody: Callable[..., None]) -> None:
    """`-x` works as with any test. Budgets of suites that it left out are named; those of the
    suite that was measured have their verdicts.
    """
    moody("finds_nothing", stage="evaluate")
    other = project.suite.with_name("zz")
    shutil.copytree(project.suite, other)
    (test,) = other.glob("test_*.py")
    test.rename(other / "test_zz.py")
    result = project.run("-k", "moody", "-x")
    result.assert_outcomes(failed=1)
    (absent,) = project.sessions()[-1]["absent"]
    assert "the run stopped at a failure: 3 of 6 selected budgets did not run" in absent
    assert result.ret == 1
