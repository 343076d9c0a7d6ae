"""Every write of a file, every start of a process and every message of a session fails once, as an
error and as a kill, and every file that is written once halfway; what came is compared with what is
promised.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pytest_perfgate.baselines.store import Store, read_file
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.report import session_files

from tests.conftest import DOUBLES, TEST
from tests.squares import HEAD, PLAIN, coco_folder, squares_model

INJECTED = Path(__file__).parent / "injected"
LIMIT = 150.0
"""Seconds that a session may take, with a fault or without."""

_WHOLE = {0, 10}
"""Exit codes of a session without a fault: on a busy machine its few launches decide not all."""

_GRACE = 8.0  # seconds in which processes end that a killed session has left

MORE = """
[[recipe]]
name  = "int8"
from  = "plain"
steps = [{ quantize = "static", op_types_to_quantize = ["Conv"], samples = 4 }]
[recipe.budgets]
map           = { drop = 0.05 }
artifact_size = { max = "1 MB" }
parity        = { max = 0.9 }
latency_p50   = { max = "2 s" }
memory_growth = { max = "500 MB" }
"""


@dataclass(frozen=True)
class Run:
    """How a session ended; `code` is None for one that had to be stopped."""

    code: int | None
    output: str


@dataclass(frozen=True)
class Fault:
    """What came of one fault.

    Attributes:
        place: process, kind of call, and the innermost calls of the package.
        happened: False where the session never came there.
        problems: promises that were broken.
    """

    place: str
    mode: str
    code: int | None = None
    happened: bool = True
    problems: tuple[str, ...] = ()


@dataclass
class Project:
    """The tiny project in a folder of its own, with one session of it stored.

    Attributes:
        stored: content of the files that no later session may change or lose.
    """

    folder: Path
    stored: dict[str, bytes] = field(default_factory=dict)

    def make(self) -> None:
        """Writes the project and measures it once; then a recipe is added that no session has."""
        suite = self.folder / "suites" / "tiny"
        suite.mkdir(parents=True)
        squares_model(suite / "squares.onnx")
        coco_folder(suite, "calibration", 4, seed=1)
        coco_folder(suite, "validation", 12, seed=2)
        (suite / "test_tiny.py").write_text(TEST)
        (self.folder / "pytest.ini").write_text("[pytest]\n")
        (suite / "recipes.toml").write_text(HEAD + PLAIN)
        first = self.run({}, "whole")
        if first.code not in _WHOLE:
            raise RuntimeError(f"a session without a fault ended with {first.code}: {first.output}")
        (suite / "recipes.toml").write_text(HEAD + PLAIN + MORE)
        shutil.rmtree(self.folder / ".perfgate")  # what is built anew writes everything
        self.stored = {
            str(file.relative_to(self.folder)): file.read_bytes()
            for pattern in ("baselines/**/*.json", "reports/2*.*", "reports/history/**/*.parquet")
            for file in self.folder.glob(pattern)
        }

    def copy(self, folder: Path) -> Project:
        """The same elsewhere."""
        shutil.copytree(self.folder, folder)
        return Project(folder, self.stored)

    def run(self, environment: dict[str, str], mark: str, *more: str) -> Run:
        """One session in a process of its own, with `mark` in the environment of all its
        processes, and with a folder of locks that no other session has.
        """
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        paths = [str(INJECTED), str(DOUBLES), os.environ.get("PYTHONPATH", "")]
        kept = {name: value for name, value in os.environ.items() if name != "CI"}
        env = {
            **kept,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "TMPDIR": str(temporary),
            "FAULTS_RUN": mark,
            **environment,
        }
        command = [sys.executable, "-m", "pytest", "--perf", "--perf-update", *_OPTIONS, *more]
        # Another process writes the file: a limit on the size of files is for those of the session.
        with (
            (self.folder / "output.txt").open("wb") as out,
            subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out) as copier,
        ):
            process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdout=copier.stdin, stderr=subprocess.STDOUT
            )
            try:
                code: int | None = process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = None
            assert copier.stdin is not None
            copier.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # whoever lives on holds the pipe
                copier.wait(_GRACE)
            copier.kill()
        return Run(code, (self.folder / "output.txt").read_text(errors="replace"))


_OPTIONS = (
    *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "two_launches", "-p", "calm"),
    *("--perf-seconds=20", "--perf-timeout=40", "--perf-profile=all", "--color=no"),
    "--perf-reason=times differ on a busy machine",
    *("--perf-markdown=out/summary.md", "--perf-openmetrics=out/perfgate.prom"),
    "--junitxml=out/junit.xml",
)


def recorded(project: Project, folder: Path) -> list[str]:
    """The places that a session without a fault comes to, in the order of the first process."""
    log = folder / "places.txt"
    run = project.copy(folder / "recorded").run({"FAULTS_LOG": str(log)}, "recorded")
    if run.code not in _WHOLE:
        raise RuntimeError(f"a session that is recorded ended with {run.code}: {run.output}")
    return list(dict.fromkeys(log.read_text().splitlines()))


def faults(project: Project, places: Iterable[str], folder: Path) -> Iterable[Fault]:
    """Each place, as an error and as a kill; where a file is opened, also with its writing cut."""
    for number, place in enumerate(places):
        modes = ("error", "kill", "half") if place.split()[1] == "open" else ("error", "kill")
        for mode in modes:
            name = f"{number}-{mode}"
            yield _fault(project.copy(folder / name), place, mode, name)
            shutil.rmtree(folder / name, ignore_errors=True)


def _fault(project: Project, place: str, mode: str, name: str) -> Fault:
    once = project.folder / "failed"
    environment = {
        "FAULTS_LOG": str(project.folder / "places.txt"),
        "FAULTS_PLACE": place,
        "FAULTS_MODE": mode,
        "FAULTS_ONCE": str(once),
    }
    mark = f"{os.getpid()}-{name}"
    run = project.run(environment, mark)
    if not once.exists():
        return Fault(place, mode, run.code, happened=False)
    problems = [*_ended(run, place, mode)]
    if run.code in _WHOLE and _is_silent(run):
        # A write that is tried again later, or a folder that another process has made.
        problems += [f"not a word of it, and {name} is missing" for name in _missing(project)]
    if left := _left(mark):
        problems.append(f"processes outlive it: {', '.join(left)}")
    problems += _lost(project)
    if mode != "kill":
        parts = [path.name for path in project.folder.rglob("*.part")]
        problems += [f"half a file is left: {part}" for part in parts]
    following = project.run({}, f"{mark}-next", "--perf-wait=0", "-k", "plain-artifact")
    if following.code != 0:
        tail = following.output[-2_000:]
        problems.append(f"the next session ends with {following.code}: {tail}")
    problems += _lost(project)
    return Fault(place, mode, run.code, problems=tuple(dict.fromkeys(problems)))


def _ended(run: Run, place: str, mode: str) -> Iterable[str]:
    """What a session must not do because of a fault."""
    if run.code is None:
        yield f"it did not end within {LIMIT:.0f} s"
        return
    if place.startswith("pytest") and mode == "kill":
        return
    if "INTERNALERROR" in run.output:
        yield f"INTERNALERROR: {run.output[-2_000:]}"
    if run.code not in {0, 1, 10}:
        yield f"exit code {run.code}: {run.output[-2_000:]}"
    lines = [line for line in run.output.splitlines() if "Traceback (most recent call" in line]
    if lines:
        start = run.output.index("Traceback (most recent call")
        yield f"a traceback: {run.output[start : start + 2_000]}"
    if run.code not in _WHOLE and _is_silent(run):
        yield f"not a word of it (exit code {run.code})"


def _is_silent(run: Run) -> bool:
    told = (
        *("ERROR", "injected", "killed (SIGKILL)", "signal 9", "warning: ", "problem: "),
        "cannot be written",
    )
    return not any(word in run.output for word in told)


def _missing(project: Project) -> Iterable[str]:
    """Outputs of a whole session that are not there: the stored ones are of the session before."""
    outputs = ("out/summary.md", "out/perfgate.prom", "out/junit.xml", "baselines/*/tiny/int8.json")
    for pattern in outputs:
        if not list(project.folder.glob(pattern)):
            yield pattern
    for pattern in ("reports/2*.json", "reports/2*.html", "reports/history/*/*.parquet"):
        if len(list(project.folder.glob(pattern))) < 2:
            yield pattern
    for file in sorted((project.folder / "reports").glob("2*.json"))[-1:]:
        if not session_files.read(file).complete:
            yield "the end of the session"


def _left(mark: str) -> list[str]:
    """Processes with this mark, after some time to end in."""
    deadline = time.monotonic() + _GRACE
    while True:
        left = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (
                    folder.name.isdecimal()
                    and f"FAULTS_RUN={mark}\0".encode() in (folder / "environ").read_bytes() + b"\0"
                ):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    left.append(f"{folder.name} {command[:80]}")
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def _lost(project: Project) -> Iterable[str]:
    """Stored files that are gone, changed or not readable."""
    for name, content in project.stored.items():
        file = project.folder / name
        if not file.is_file():
            yield f"{name} is gone"
        elif file.read_bytes() != content and not name.startswith("baselines"):
            yield f"{name} was changed"
    for file in Store(project.folder / "baselines").files():
        try:
            read_file(file)
        except PerfgateError as error:
            yield f"a baseline is damaged: {error}"
    for file in (project.folder / "reports").glob("2*.json"):
        if file.stat().st_size == 0:
            continue  # a name that a session holds, or held when it was killed
        try:
            session_files.read(file)
        except PerfgateError as error:
            yield f"a session is damaged: {error}"
