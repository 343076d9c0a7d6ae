"""Sessions whose builds are placed by an engine: the same verdicts, and nothing is left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.blackbox.test_workers import until
from tests.conftest import Project, hear_ctrl_c
from tests.squares import HEAD, PLAIN

pytest.importorskip("ray", reason="python -m pip install 'pytest-perfgate[fleet]'")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

LOST = " was started again: the process that ran it was lost"

WAITS = """
[[recipe]]
name    = "moody"
from    = "plain"
runtime = { name = "moody", mode = "waits_for_others", graph_optimization = "basic" }
budgets = { map = { drop = 0.02 }, artifact_size = { max = "1 MB" } }
"""
"""A recipe that is not evaluated while somebody holds a lock of the project."""


@pytest.fixture
def lock(project: Project) -> Iterator[IO[str]]:
    """The lock that the recipe's evaluation waits for, held."""
    with (project.root / "moody.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def started(project: Project) -> subprocess.Popen[str]:
    """A session with an engine on this host, of two recipes' scores and sizes."""
    project.write(HEAD + PLAIN + WAITS)
    options = ("--perf", "--perf-wait=300", "--perf-fleet=local", "--perf-seconds=1")
    quick = ("--perf-history=off", "-p", "one_launch", "-p", "short_launches", "-p", "no_page")
    chosen = ("-k", "map or artifact", "-p", "no:cacheprovider")
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *quick, *chosen],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no threads here
    )


def below(pid: int) -> dict[int, str]:
    """All processes below one, with their command lines."""
    processes: dict[int, str] = {}
    parents = [pid]
    while parents:
        parent = parents.pop()
        try:
            threads = list(Path(f"/proc/{parent}/task").iterdir())
            words = " ".join((thread / "children").read_text() for thread in threads)
            children = [int(word) for word in words.split()]
            for child in children:
                line = Path(f"/proc/{child}/cmdline").read_bytes()
                processes[child] = line.replace(b"\0", b" ").decode(errors="replace")
            parents += children
        except OSError:  # it has ended
            continue
    return processes


def jobs(process: subprocess.Popen[str]) -> dict[int, list[int]]:
    """The processes that run a job of the session now, with those of their workers."""
    running = {}
    for pid, line in below(process.pid).items():
        if line.startswith("ray::NodeJob"):
            running[pid] = [
                child for child, text in below(pid).items() if "pytest_perfgate.worker" in text
            ]
    return running


def waits(process: subprocess.Popen[str]) -> int:
    """The process of a job whose worker has started, 0 where there is none."""
    assert process.poll() is None, process.communicate()[0]
    return next((pid for pid, workers in jobs(process).items() if workers), 0)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_task_that_is_killed_runs_again_and_the_verdicts_are_the_same(
    project: Project, lock: IO[str]
) -> None:
    """The recipe whose job was lost has one verdict for each budget, the page has a note, and no
    process of the engine is left.
    """
    process = started(project)
    try:
        until(lambda: waits(process) > 0, 90)
        first = waits(process)
        os.kill(first, signal.SIGKILL)
        until(lambda: waits(process) not in {0, first}, 60)
        others = below(process.pid)
        fcntl.flock(lock, fcntl.LOCK_UN)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert project.verdicts() == {
        "plain-map": "NO BASELINE",
        "plain-artifact_size": "PASS",
        "moody-map": "INCONCLUSIVE",
        "moody-artifact_size": "PASS",
    }
    (suite,) = project.sessions()[-1]["suites"]
    assert [note for note in suite["notes"] if note.endswith(LOST)]
    assert [pid for pid in others if not is_gone(pid)] == []


def has_engine(process: subprocess.Popen[str]) -> bool:
    """Whether processes of the session's engine have started."""
    return any("raylet" in line for line in below(process.pid).values())


@pytest.mark.parametrize(("number", "when"), [(signal.SIGINT, has_engine), (signal.SIGKILL, waits)])
@pytest.mark.usefixtures("lock")
def test_nothing_of_an_engine_outlives_its_session(
    project: Project, number: signal.Signals, when: Callable[[subprocess.Popen[str]], bool]
) -> None:
    """After Ctrl-C while the engine starts, and after a kill in the middle of an evaluation."""
    process = started(project)
    try:
        until(lambda: bool(when(process)), 90)
        processes = below(process.pid)
        process.send_signal(number)
        process.communicate(timeout=60)
        until(lambda: all(map(is_gone, processes)), 15)
    finally:
        process.kill()
    code = -number if number is signal.SIGKILL else pytest.ExitCode.INTERRUPTED
    assert process.returncode == code


def test_a_cluster_that_does_not_answer_is_one_error_before_any_work(project: Project) -> None:
    """It names the address and the next command, and nothing is built."""
    project.forget()
    result = project.run("--perf-fleet=ray://127.0.0.1:1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --perf-fleet ray://127.0.0.1:1: no cluster answers*", "*next:*ray status*"]
    )
    assert not (project.root / ".perfgate").exists()
