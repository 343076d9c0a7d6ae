"""Suites spread over shares of a host: `--perf-spread`, `--perf-cores`, `--perf-gpus`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.conftest import Project, said
from tests.squares import HEAD, RECIPES

THIRD = '\n[[recipe]]\nname = "third"\nruntime = "onnxruntime"\n'
"""A reference of its own, without a budget: it is there to be measured."""

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="two shares need two cores")


@pytest.mark.slow
def test_suites_are_spread_over_workers_with_cores_of_their_own(project: Project) -> None:
    """Two suites, two workers of pytest-xdist: one session, and no core in common."""
    pytest.importorskip("xdist", reason="python -m pip install pytest-xdist")
    project.write(HEAD + THIRD)
    shutil.copytree(project.suite, project.root / "suites" / "other")
    tests = project.root / "suites" / "other" / "test_tiny.py"
    tests.rename(tests.with_name("test_other.py"))
    result = project.run("-n", "2", "--perf-spread", "-k", "third", process=True)
    result.assert_outcomes(passed=2)
    (session,) = project.sessions()
    one, other = session["suites"]
    assert {one["folder"], other["folder"]} == {"suites/tiny", "suites/other"}
    used = [
        {core for each in suite["conditions"] for core in each["cores"]} for suite in (one, other)
    ]
    assert all(used)
    assert not used[0] & used[1]
    assert session["machine"]["cores"] == len(CORES) // 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--perf-spread",), "-n 2 or more"),
        (("--perf-spread", "-n", "512"), "physical cores for 512 workers"),
        (("--perf-cores", "4096"), "may not run on core 4096"),
        (("--perf-gpus", "7"), "'7' names no GPU"),
    ],
)
def test_a_share_that_is_not_there_is_refused_before_any_work(
    project: Project, arguments: tuple[str, ...], words: str
) -> None:
    """A usage error that says what there is."""
    result = project.pytest("--perf", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in " ".join(result.stderr.str().split())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores")
def test_two_sessions_measure_at_the_same_time_on_cores_of_their_own(
    project: Project, moody: Callable[..., None]
) -> None:
    """A third one that wants a core of the first is refused meanwhile."""
    project.write(RECIPES + THIRD)
    moody("hangs")  # the first goes on until it is ended
    project.forget()  # what the first builds shows that it has begun
    command = [sys.executable, "-m", "pytest", "--perf", "-p", "no:cacheprovider"]
    first = [*command, "--perf-cores", str(CORES[0]), "-k", "moody-latency"]
    process = subprocess.Popen(
        first, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not (project.root / ".perfgate" / "artifacts").is_dir():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        beside = ("--perf", "--perf-seconds", "1", "-k", "third", "--perf-cores")
        busy = project.pytest(*beside, ",".join(map(str, CORES[:2])))
        said(busy, f"process {process.pid} is measuring on core {CORES[0]} of this machine")
        free = project.pytest(*beside, str(CORES[1]))
        free.assert_outcomes(passed=1)
        assert process.poll() is None
        (suite,) = project.sessions()[-1]["suites"]
        assert {core for each in suite["conditions"] for core in each["cores"]} == {CORES[1]}
    finally:
        process.kill()
        process.wait(30)
