"""The end of a worker is the end of its processes, however they were started and it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_perfgate.measure.worker_pool import Ended, Event, Job, Pool
from pytest_perfgate.suite.reading import read
from pytest_perfgate.worker.protocol import Failed, PrepareJob

SUITE = """\
[suite]
task = "detection"
model = "strange:build"
[suite.data]
validation = "strange:validation"
[[recipe]]
name = "fp32"
runtime = "torch"
"""

LEAVES = """\
import os, subprocess, sys, time
from pathlib import Path

def linger():
    Path("pids").open("a").write(f"{os.getpid()}\\n")
    time.sleep(600)

def forked():
    if os.fork() == 0:  # with the worker's pipe open
        linger()

def a_session_of_its_own():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            linger()
        os._exit(0)

def another_program():
    code = "import strange_later; strange_later.linger()"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
"""

RUN = """\
import sys
from pathlib import Path
from tests.measure import test_worker_pool
run = getattr(test_worker_pool, sys.argv[1])
print(run(Path.cwd(), sys.argv[2])[-1][1].problem or "clean")
"""

CLOSES = """\
import os, time
os.closerange(3, 64)
time.sleep(600)
"""

WAITS = """\
import os, time
open("pids", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs subreapers (prctl)")


def events(folder: Path, how: str) -> list[Event]:
    """What comes of building a recipe whose model module does that as it is imported."""
    (folder / "recipes.toml").write_text(SUITE)
    (folder / "strange_later.py").write_text(LEAVES)
    stay = "strange_later.linger()" if how == "another_program_while_it_works" else ""
    name = how.removesuffix("_while_it_works")
    (folder / "strange.py").write_text(
        f"import os, time, strange_later\nstrange_later.{name}()\n"
        "while not os.path.exists('pids'):\n    time.sleep(0.01)\n"
        f"{stay}\nraise RuntimeError('no model')\n"
    )
    return run(folder, sys.executable, 60.0)


def stub(folder: Path, code: str) -> list[Event]:
    """What comes of a worker that does this and nothing else, and starts in no time."""
    (folder / "recipes.toml").write_text(SUITE)
    (folder / "stub.py").write_text(code)
    python = folder / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -IS {folder / 'stub.py'}\n")
    python.chmod(0o755)
    return run(folder, str(python), 3.0)


def run(folder: Path, python: str, silence: float) -> list[Event]:
    """All events of building the suite's recipe."""
    suite = read(folder / "recipes.toml", folder).suite
    assert suite is not None
    work = PrepareJob(suite, "fp32", folder / "cache", folder / "images.npz")
    with Pool(1, folder / "logs") as pool:
        return list(pool.run([Job("fp32", work, folder, silence=silence, python=python)]))


def gone(folder: Path, at_least: int = 1) -> bool:
    """Whether so many processes were left behind, and none of them lives."""
    pids = (folder / "pids").read_text().split()
    return len(pids) >= at_least and not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("how", ["forked", "a_session_of_its_own", "another_program"])
def test_what_a_suite_leaves_behind_ends_with_its_worker(tmp_path: Path, how: str) -> None:
    """It neither delays the answer nor lives on, in another session or with the pipe open."""
    begin = time.monotonic()
    *_, (_, failed), (_, ended) = events(tmp_path, how)
    assert isinstance(failed, Failed)
    assert "no model" in failed.problem
    assert ended == Ended()
    assert time.monotonic() - begin < 30  # they sleep for 600 s
    assert gone(tmp_path)


def test_a_worker_that_closes_its_pipe_and_lives_on_meets_its_deadline(tmp_path: Path) -> None:
    """Its end is not waited for without limit."""
    _, ended = stub(tmp_path, CLOSES)[-1]
    assert isinstance(ended, Ended)
    assert "sent no message for" in ended.problem


def session(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs one of the functions above, as a session of pytest would."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_nothing_lives_on_when_this_process_is_killed(tmp_path: Path) -> None:
    """Not even a program in a session of its own, after SIGKILL."""
    process = session(tmp_path, "events", "another_program_while_it_works")
    try:
        until(lambda: (tmp_path / "pids").exists() and lines(tmp_path) == 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: gone(tmp_path, 2))
    finally:
        process.kill()


def test_a_stopped_session_blames_no_worker(tmp_path: Path) -> None:
    """The time in which nobody listened is not a worker's silence."""
    process = session(tmp_path, "stub", WAITS)
    try:
        until((tmp_path / "pids").exists)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.5)  # longer than the silence
        process.send_signal(signal.SIGCONT)
        time.sleep(0.7)  # it looks at its workers
        (tmp_path / "go").touch()
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert said.strip() == "clean"


def lines(folder: Path) -> int:
    """Processes that are there."""
    return len((folder / "pids").read_text().split())


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for it; fails when it does not come to pass."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)
