"""A worker that dies, hangs or raises ends one recipe; the others go on, and nothing is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Project, hear_ctrl_c
from tests.squares import HEAD, PLAIN

LAST_WORDS = {
    "crashes": "*crashed in native code (SIGSEGV)*",
    "raises": "*ValueError: moody today*",
    "is_killed": "*killed (SIGKILL)*",
    "runs_out_of_memory": "*ran out of memory*",
    "exits": "*exit code 3*",
}


ENDING = "".join(
    f"""
[[recipe]]
name    = "{mode}"
from    = "plain"
runtime = {{ name = "moody", mode = "{mode}" }}
budgets = {{ peak_memory = {{ max = "100 MB" }} }}
"""
    for mode in LAST_WORDS
)
"""A recipe for each way in which an arm can end."""


def test_arms_that_end_badly_end_their_recipes_only(project: Project) -> None:
    """Each recipe gets ERROR with what is known of its end; the reference keeps its verdicts."""
    project.write(HEAD + PLAIN + ENDING)
    result = project.run("-k", "peak_memory or plain-artifact")
    ended = {f"{mode}-peak_memory": "ERROR" for mode in LAST_WORDS}
    assert project.verdicts() == {"plain-artifact_size": "PASS", **ended}
    result.assert_outcomes(passed=1, errors=len(LAST_WORDS))
    records = project.sessions()[-1]["suites"][0]["recipes"]
    failures = {record["name"]: str(record["failure"]) for record in records}
    for mode, words in LAST_WORDS.items():
        result.stdout.fnmatch_lines([words])
        assert words.strip("*") in failures[mode]


def test_a_worker_that_ends_badly_ends_its_recipe_only(
    project: Project, moody: Callable[..., None]
) -> None:
    """Where it evaluates as where it measures."""
    moody("crashes", stage="evaluate")
    result = project.run("-k", "moody-peak_memory or plain-artifact")
    assert project.verdicts() == {"plain-artifact_size": "PASS", "moody-peak_memory": "ERROR"}
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([LAST_WORDS["crashes"]])


@pytest.mark.parametrize("stage", ["evaluate", "launch"])
def test_a_worker_that_hangs_is_stopped(
    project: Project, moody: Callable[..., None], stage: str
) -> None:
    """After `--perf-timeout` without a word a worker counts as hung."""
    moody("hangs", stage=stage)
    result = project.run("-k", "moody-peak_memory or plain-artifact", "--perf-timeout", "5")
    assert project.verdicts() == {"plain-artifact_size": "PASS", "moody-peak_memory": "ERROR"}
    result.stdout.fnmatch_lines(["*--perf-timeout SECONDS*"])


def test_a_slow_recipe_is_measured_in_full(project: Project, moody: Callable[..., None]) -> None:
    """Rounds of a launch end early when arms are slow; every metric is measured all the same."""
    moody(seconds="0.02")  # five turns of a visit take as long as a launch's rounds may
    project.run("-k", "moody-peak_memory", "-p", "short_launches")
    records = project.sessions()[-1]["suites"][0]["recipes"]
    slow = next(each for each in records if each["name"] == "moody")
    assert len(slow["launches"][0]["inference"]) < 24  # fewer than a fast recipe's
    assert all(launch["batches"] for launch in slow["launches"])


@pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphan_is_left(
    project: Project, moody: Callable[..., None], number: signal.Signals
) -> None:
    """After Ctrl-C, what a CI job is ended with, and even a kill, no worker and no arm lives on."""
    moody("hangs")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--perf",
        "--perf-wait",
        "300",
        "-k",
        "moody-peak_memory",
    ]
    process = subprocess.Popen(
        command,
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no threads here
    )
    try:
        until(lambda: len(workers(project)) >= 4, 60)  # a launch, its keeper and two arms
        process.send_signal(number)
        code = process.wait(30)
        until(lambda: not workers(project), 15)
        assert code == (-number if number is signal.SIGKILL else pytest.ExitCode.INTERRUPTED)
    finally:
        process.kill()


def workers(project: Project) -> list[int]:
    """Processes whose working folder is the project and that run a worker."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:  # a process may vanish meanwhile
            mine = b"pytest_perfgate.worker" in (process / "cmdline").read_bytes()
            if mine and (process / "cwd").readlink() == project.root:
                found.append(int(process.name))
        except OSError:
            continue
    return found


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Waits for it; fails when it does not come to pass."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)


def test_what_was_measured_outlives_the_end_of_pytest(project: Project) -> None:
    """A process that is gone before its end has left the suites that it had measured."""
    (project.root / "conftest.py").write_text(
        "import os\n\n\ndef pytest_runtest_teardown():\n    os._exit(9)\n"
    )
    project.run("-k", "plain-map", page=True, process=True)
    (session,) = project.sessions()
    assert session["complete"] is False
    assert [verdict["metric"] for verdict in session["suites"][0]["verdicts"]] == ["map"]
    assert not list((project.root / "reports").glob("*.html"))
