"""`workload = "pipeline"`: recipes that are measured with several images under way at once."""

from __future__ import annotations

import pytest

from tests.conftest import DECIDED, RED, Project, said
from tests.squares import HEAD

pytestmark = pytest.mark.slow

SUITE = """\
[[recipe]]
name = "alone"
runtime = "sleepy"
workload = { name = "pipeline", images = 4 }
[recipe.budgets]
pipeline_throughput = { min = "1 images/s" }

[[recipe]]
name = "together"
from = "alone"
workload = { depth = 4, sessions = 4 }
[recipe.budgets]
pipeline_throughput = { speedup = 2 }
response_time_p50 = { max = "500 ms" }
"""


@pytest.fixture
def sleeping(project: Project) -> Project:
    """The tiny project on a runtime that sleeps for 10 ms."""
    project.write(HEAD + SUITE)
    return project


def test_sessions_side_by_side_are_faster_where_each_waits(sleeping: Project) -> None:
    """Four that sleep at once give twice the images, and the record says what overlapped."""
    sleeping.run(*DECIDED)
    assert set(sleeping.verdicts().values()) == {"PASS"}, sleeping.verdicts()
    (suite,) = sleeping.sessions()[-1]["suites"]
    facts = {each["name"]: each["runtime_facts"] for each in suite["recipes"]}
    assert "stages overlapped" not in facts["alone"]
    assert facts["together"]["sessions that inferred"] == 4
    assert facts["together"]["stages overlapped"] != "0% of the time"


def test_overlap_that_wins_too_little_is_red(
    sleeping: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that wait for each other gain nothing."""
    monkeypatch.setenv("SLEEPY", "waits_for_others")
    sleeping.run("-k", "together-pipeline_throughput", *RED)
    assert sleeping.verdicts() == {"together-pipeline_throughput": "FAIL"}


def test_a_session_that_keeps_state_is_an_error(
    sleeping: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outputs are others with images under way beside them: such a gain is none."""
    monkeypatch.setenv("SLEEPY", "keeps_state")
    result = sleeping.run("-k", "together")
    assert set(sleeping.verdicts().values()) == {"ERROR"}, sleeping.verdicts()
    said(result, "gives another output with")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("depth = 2, sessions = 4", "no more can work at once than there are images in flight"),
        ("depth = 9", "a stretch needs as many images as are in flight"),
    ],
)
def test_what_could_never_be_busy_is_an_error_early(
    sleeping: Project, asked: str, problem: str
) -> None:
    """It names the option and what is valid, and nothing is built."""
    file = sleeping.suite / "recipes.toml"
    sleeping.write(file.read_text().replace("depth = 4, sessions = 4", asked))
    said(sleeping.run("-k", "together"), problem)
