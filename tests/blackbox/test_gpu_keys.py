"""What a suite may ask of a GPU, on a machine that has none: nothing passes, and all is said."""

from __future__ import annotations

import pytest
from pytest_perfgate.runtimes.cuda import GPU

from tests.conftest import Project
from tests.squares import RECIPES

pytestmark = pytest.mark.skipif(not GPU.missing, reason="this machine has a GPU")


def test_a_budget_on_energy_is_not_passed_without_a_device(project: Project) -> None:
    """It is red, says that nothing was measured, and how to measure it."""
    project.write(
        RECIPES.replace(
            'artifact_size = { max = "1 MB" }',
            'energy = { max = "100 J" }\nartifact_size = { max = "1 MB" }',
        )
    )
    result = project.run("-k", "plain-energy")
    result.assert_outcomes(errors=1)
    assert project.verdicts()["plain-energy"] == "ERROR"
    result.stdout.fnmatch_lines(["*energy was not measured: the recipe ran on no NVIDIA GPU*"])
    (launch, *_) = project.sessions()[-1]["suites"][0]["recipes"][0]["launches"]
    assert launch["energies"] == []
    assert launch["device_memory_process"] is None


def test_a_flush_that_cannot_be_done_is_an_error(project: Project) -> None:
    """Not a measurement with warm caches under another name."""
    project.write(RECIPES.replace("batch = 4", 'batch = 4\nbetween_samples = "flush_l2"'))
    result = project.run("-k", "plain-latency")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ['*between_samples = "flush_l2" is set, but this runtime cannot flush a device*']
    )


def test_blocked_turns_are_recorded(project: Project) -> None:
    """The session's file has the policy that the suite asked for."""
    project.write(RECIPES.replace("batch = 4", 'batch = 4\nturns = "blocked"'))
    project.run("-k", "plain-latency")
    suite = project.sessions()[-1]["suites"][0]
    assert suite["policy"] == {"between_samples": "rotate", "turns": "blocked"}
    assert suite["recipes"][0]["launches"]


def test_a_policy_that_is_none_is_refused_at_reading(project: Project) -> None:
    """With the key, the value and what is valid."""
    project.write(RECIPES.replace("batch = 4", 'batch = 4\nturns = "mixed"'))
    result = project.run("-k", "recipe")
    result.stdout.fnmatch_lines(["*suite.turns*'mixed'*"])
    result.stdout.fnmatch_lines(["*'alternate' or 'blocked'*"])
