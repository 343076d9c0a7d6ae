"""`pytest-perfgate doctor` as a process: what it measures, waits for, and leaves behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_perfgate.cli.doctor_examination import Examination

from tests.conftest import hear_ctrl_c

PATIENT = ("--wait", "300")


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest_perfgate.cli.main", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


@pytest.mark.slow
def test_a_real_run_measures_says_and_writes(tmp_path: Path) -> None:
    """Two seconds on this machine, calm or not: the file and the code agree."""
    file = tmp_path / "found.json"
    done = run("--seconds", "2", "--json", str(file), *PATIENT, TMPDIR=str(tmp_path))
    found = Examination.model_validate_json(file.read_text())
    assert done.returncode == (0 if found.calm else 1), done.stderr
    assert found.noise.launches >= 2
    assert found.noise.pairs == 4 * found.noise.launches
    assert len(found.conditions) == found.noise.launches
    assert 0 < found.noise.within < 2
    assert [each.tolerance for each in found.answers] == [0.01, 0.02, 0.05, 0.1, 0.2]
    assert found.machine.id in done.stdout
    assert "seconds per verdict" in done.stdout
    assert done.stderr == ""  # no progress where there is no terminal


def hold(folder: Path) -> int:
    """Holds the lock that measurements in this folder take; gives the file's descriptor."""
    locks = folder / f"pytest-perfgate-{os.getuid()}"
    locks.mkdir()
    handle = os.open(locks / "cpu.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.write(handle, b"4711")
    return handle


def test_beside_a_session_it_refuses(tmp_path: Path) -> None:
    """The holder is named, with the option that waits."""
    handle = hold(tmp_path)
    try:
        done = run("--seconds", "0", TMPDIR=str(tmp_path))
    finally:
        os.close(handle)
    assert done.returncode == 1
    assert "process 4711 is measuring" in done.stderr
    assert "--wait SECONDS" in done.stderr


@pytest.mark.slow
def test_wait_lets_a_session_finish(tmp_path: Path) -> None:
    """`--wait` measures as soon as the lock is free; two launches, however short the time."""
    handle, file = hold(tmp_path), tmp_path / "found.json"
    command = [
        sys.executable,
        "-m",
        "pytest_perfgate.cli.main",
        "doctor",
        "--seconds",
        "0",
        "--wait",
        "60",
        "--json",
        str(file),
    ]
    started = subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    )
    time.sleep(1.5)
    assert started.poll() is None
    os.close(handle)
    said, _ = started.communicate(timeout=60)
    assert started.returncode in {0, 1}
    assert "seconds per verdict" in said
    assert json.loads(file.read_text())["noise"]["launches"] == 2


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C ends it at once with 130; no process and no folder stays, and the lock is free."""
    started = subprocess.Popen(
        [sys.executable, "-m", "pytest_perfgate.cli.main", "doctor", "--seconds", "60"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no threads here
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("perfgate-doctor-*/arm-*.log")):
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=30)
    assert started.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert [each.name for each in tmp_path.iterdir()] == [f"pytest-perfgate-{os.getuid()}"]
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
    workers = [line for line in left.stdout.splitlines() if "pytest_perfgate.worker" in line]
    assert not [line for line in workers if line.split()[-1] == str(started.pid)]
    with (tmp_path / f"pytest-perfgate-{os.getuid()}" / "cpu.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
