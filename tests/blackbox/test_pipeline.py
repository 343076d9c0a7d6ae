"""`workload = "pipeline"`: recipes that are measured with several images under way at once."""

from __future__ import annotations

import pytest

from tests.conftest import RECIPES, Project, said

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

pytestmark = pytest.mark.slow

SLEEPY = """\
import contextlib
import os
import threading
import time

import torch

ONE = threading.Lock() if os.environ.get("ONE") else contextlib.nullcontext()


class Sleepy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Conv2d(3, 5, 1)
        self.count = 0

    def forward(self, x):
        with ONE:
            time.sleep(0.01)  # as waiting for a device does, it needs no core
        self.count += 1
        out = self.body(x[..., ::8, ::8]).flatten(2).transpose(1, 2)
        return out[..., :4], out[..., 4:].sigmoid() + (self.count if os.environ.get("KEEPS") else 0)


def build():
    torch.manual_seed(0)
    return Sleepy().eval()
"""

HEAD = RECIPES[: RECIPES.index("[[recipe]]")]
SUITE = """\
[[recipe]]
name = "alone"
runtime = "torch"
workload = { name = "pipeline", images = 8 }
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
    """The tiny project with a model that sleeps for 10 ms."""
    (project.root / "sleepy.py").write_text(SLEEPY)
    line = next(each for each in HEAD.splitlines() if each.startswith("model"))
    project.write(HEAD.replace(line, 'model = "sleepy:build"') + SUITE)
    return project


def test_sessions_side_by_side_are_faster_where_each_waits(sleeping: Project) -> None:
    """Four that sleep at once give twice the images, and the record says what overlapped."""
    sleeping.run("--perf-seconds", "30")
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
    monkeypatch.setenv("ONE", "1")
    sleeping.run("--perf-seconds", "120", "--perf-alpha", "0.2")
    assert sleeping.verdicts()["together-pipeline_throughput"] == "FAIL"


def test_a_model_that_keeps_state_is_an_error(
    sleeping: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outputs are others with images under way beside them: such a gain is none."""
    monkeypatch.setenv("KEEPS", "1")
    result = sleeping.run("--perf-seconds", "5", "-k", "together")
    assert set(sleeping.verdicts().values()) == {"ERROR"}, sleeping.verdicts()
    said(result, "gives another output with")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("depth = 2, sessions = 4", "no more can be at work than there are images under way"),
        ("depth = 9", "a stretch has to be longer than what is under way"),
    ],
)
def test_what_could_never_be_busy_is_an_error_early(
    sleeping: Project, asked: str, problem: str
) -> None:
    """It names the option and what is valid, and nothing is built."""
    file = sleeping.suite / "recipes.toml"
    sleeping.write(file.read_text().replace("depth = 4, sessions = 4", asked))
    said(sleeping.run("-k", "together"), problem)
