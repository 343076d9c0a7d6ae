"""The driver of faults itself: a fault happens once where it is asked for, and what it breaks is
noticed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import places
from tests.faults.places import INJECTED, Project, Run
from tests.report import sessions

WRITES = """\
import sys
from pathlib import Path
from pytest_perfgate.baselines.store import Store
from tests.verdicts.judging import stored
store = Store(Path(sys.argv[1]))
for _ in range(2):
    try:
        print(store.write(stored(0.01)).name)
    except Exception as error:
        print(error.problem)
"""
ROOT = Path(__file__).parents[2]


def writes(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two writes of a baseline, in a process that the faults are loaded into."""
    return subprocess.run(
        [sys.executable, "-c", WRITES, str(folder / "baselines")],
        env={**os.environ, "PYTHONPATH": str(INJECTED), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_fault_happens_once_at_its_place(tmp_path: Path) -> None:
    """Every write is noted by the calls that led to it; one fails, as an error, as a kill, or
    halfway.
    """
    log = tmp_path / "places"
    assert writes(tmp_path, FAULTS_LOG=str(log)).stdout == "candidate.json\n" * 2
    noted = log.read_text().splitlines()
    assert [line.split()[:2] for line in noted] == [
        ["pytest", "mkdir"],
        ["pytest", "open"],
        ["pytest", "sync"],
        ["pytest", "rename"],
    ]
    assert all("baselines/store:" in line for line in noted)
    fault = {"FAULTS_LOG": str(log), "FAULTS_PLACE": noted[2], "FAULTS_ONCE": str(tmp_path / "1")}
    failed, whole = writes(tmp_path, FAULTS_MODE="error", **fault).stdout.splitlines()
    assert (failed, whole) == (
        "the baseline cannot be written: injected: Input/output error",
        "candidate.json",
    )
    killed = writes(tmp_path, FAULTS_MODE="kill", **{**fault, "FAULTS_ONCE": str(tmp_path / "2")})
    assert (killed.returncode, killed.stdout) == (-9, "")
    fault |= {"FAULTS_PLACE": noted[1], "FAULTS_ONCE": str(tmp_path / "3")}
    cut, whole = writes(tmp_path, FAULTS_MODE="half", **fault).stdout.splitlines()
    assert (cut, whole) == (
        "the baseline cannot be written: File too large",
        "candidate.json",
    )
    assert (tmp_path / "3").exists()


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run(None, ""), "did not end"),
        (Run(3, "INTERNALERROR> x"), "INTERNALERROR"),
        (Run(2, "ERROR"), "exit code 2"),
        (Run(10, "ERROR\nTraceback (most recent call last):\n x"), "a traceback"),
        (Run(1, "1 failed"), "not a word of it"),
    ],
)
def test_what_a_session_must_not_do_is_noticed(run: Run, words: str) -> None:
    """After an error in a worker; an ERROR in words is as promised."""
    assert any(words in problem for problem in places._ended(run, "worker send x", "error"))
    assert not list(places._ended(Run(10, "ERROR  plain  map"), "worker send x", "error"))
    assert not list(places._ended(Run(-9, ""), "pytest open x", "kill"))


def test_a_silent_session_must_have_written_everything(tmp_path: Path) -> None:
    """A write that is tried again needs no word; one that is left out does."""
    project = Project(tmp_path)
    assert "out/summary.md" in list(places._missing(project))
    for name in (
        *("out/summary.md", "out/perfgate.prom", "out/junit.xml", "baselines/m/tiny/int8.json"),
        *("reports/2a.html", "reports/2b.html", "reports/history/m/a.parquet"),
        "reports/history/m/b.parquet",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(places._missing(project)) == ["reports/2*.json"]
    for name in ("2a", "2b"):
        text = sessions.healthy().model_dump_json()
        (tmp_path / "reports" / f"{name}.json").write_text(text)
    assert not list(places._missing(project))


def test_lost_files_and_living_processes_are_noticed(tmp_path: Path) -> None:
    """What was stored must be there as it was; a baseline must be readable."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "2026.json").touch()  # a name that is held
    project = Project(tmp_path, {"reports/1.html": b"x"})
    assert list(places._lost(project)) == ["reports/1.html is gone"]
    (tmp_path / "reports" / "1.html").write_bytes(b"y")
    assert list(places._lost(project)) == ["reports/1.html was changed"]
    (tmp_path / "reports" / "1.html").write_bytes(b"x")
    assert not list(places._lost(project))
    broken = tmp_path / "baselines" / "machine" / "tiny" / "plain.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    (problem,) = places._lost(project)
    assert "a baseline is damaged" in problem
    code = "import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], env={"FAULTS_RUN": "mark"}) as process:
        monkey = pytest.MonkeyPatch()
        monkey.setattr(places, "_GRACE", 0.3)
        try:
            assert [line.split()[0] for line in places._left("mark")] == [str(process.pid)]
        finally:
            monkey.undo()
            process.kill()
    assert not places._left("mark")
