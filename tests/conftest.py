"""A tiny project for black-box tests: an ONNX detector of bright squares, and a COCO folder.

Nothing of it needs torch, so that a whole session takes seconds. Runtimes of `tests/doubles`,
registered as any third party would, misbehave as environment variables and options say.

Before it, what lets tests run in several processes (pytest-xdist) though some of them measure: a
test marked `alone` runs while no other test does.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.machine import piped_process
from pytest_perfgate.report import publish

from tests.exported import exported_detector  # noqa: F401 - a fixture
from tests.forked_workers import Templates
from tests.kept_imports import Imported
from tests.pictures import pictures_drawn_once  # noqa: F401 - a fixture
from tests.squares import HEAD, PLAIN, RECIPES, coco_folder, squares_model, squares_project


def pytest_configure(config: pytest.Config) -> None:
    """Keeps from inner pytest runs that they were started by a worker of pytest-xdist. Torch's
    compiler is not to try out every vector unit of the CPU, by 5 s of g++ in each process. Nor is
    pydantic to look for its plugins in all installed packages: a tenth of an import in a worker.
    """
    os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if hasattr(config, "workerinput"):
        for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
            del os.environ[name]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting imports (torch, scipy) is no garbage: it is not searched, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """At the end it is: DuckDB complains of what is never freed."""
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Marks what starts sessions, before `-m` selects by marks. Tests that are alone come last,
    long after the end of the lint that runs beside the first tests.
    """
    for item in items:
        if "pytester" in getattr(item, "fixturenames", ()):  # `project` builds on it
            item.add_marker(pytest.mark.session)
    yield
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test, its fixtures included, beside those of other processes or without them. A framework
    that it imported is no garbage either.
    """
    before = len(sys.modules)
    with contextlib.ExitStack() as stack:
        if hasattr(item.config, "workerinput"):  # without it one process, one test at a time
            mine: Path = item.config._tmp_path_factory.getbasetemp()
            alone = item.get_closest_marker("alone") is not None
            stack.enter_context(_turn(mine.parent, alone=alone))
        done = yield
    if len(sys.modules) > before + 100:
        gc.collect()
        gc.freeze()
    return done


@contextlib.contextmanager
def _turn(shared: Path, *, alone: bool) -> Iterator[None]:
    """Holds the room, alone or with others. Who waits for it keeps the door: nobody overtakes."""
    with (shared / "door").open("a") as door, (shared / "room").open("a") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:  # said, not left to the file's end: a process that the test forked has it too
            fcntl.flock(room, fcntl.LOCK_UN)


TEST = '''\
def test_budget(budget):
    """Every recipe keeps every one of its budgets."""
    budget.check()
'''

DECIDED = (
    *("--perf-seconds", "120", "--perf-alpha", "0.4"),
    *("--perf-profile", "none", "-p", "short_launches", "-p", "calm"),
)
"""Options of sessions that prove a planted fault by few and short launches: they end with the
fourth where everything is clear. The fault is a sleep, so what else this machine does hides none of
it; a launch beside other tests would count as unsteady."""

RED = (*DECIDED, "-p", "two_launches")
"""As `DECIDED`, for a session of one limit on times that is broken by far: two launches prove that,
where four are needed to prove a limit kept."""

OTHER_PLUGINS = "-p no:randomly -p no:hypothesispytest -p no:anyio -p no:platformdirs"
"""What an inner pytest needs not: importing anyio takes a quarter of the start of its processes."""

DOUBLES = Path(__file__).parent / "doubles"
"""Runtimes and plugins that tests' projects have on their path."""


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model and the data; copied, never changed."""
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    folder = tmp_path_factory.mktemp("tiny")
    squares_model(folder / "squares.onnx")
    coco_folder(folder, "calibration", 12, seed=1)
    coco_folder(folder, "validation", 40, seed=2)
    return folder


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking store of MLflow's, in a file that need not outlive a power cut: each of the
    migrations that make its tables would wait for the disk.
    """
    from sqlalchemy import Engine, event

    def hurry(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hurry)
    yield f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    event.remove(Engine, "connect", hurry)


@pytest.fixture(scope="session")
def built_before(tiny_suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a session that built and evaluated `plain`; copied, never changed."""
    root = tmp_path_factory.mktemp("built")
    suite = root / "suites" / "tiny"
    suite.mkdir(parents=True)
    squares_project(tiny_suite, suite)
    (suite / "recipes.toml").write_text(HEAD + PLAIN)
    (suite / "test_tiny.py").write_text(TEST)
    (root / "pytest.ini").write_text("[pytest]\n")
    options = ("--perf", "--perf-wait=300", "--perf-seconds=1", "--perf-history=off")
    plugins = ("-p", "one_launch", "-p", "no_page", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *plugins, "-k", "plain-map"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(DOUBLES), "TMPDIR": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root / ".perfgate"


@pytest.fixture(scope="session")
def worker_templates() -> Iterator[Templates]:
    """What workers of sessions in this process are forked from."""
    with Templates() as templates:
        yield templates


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Keeps what a test imported. `pytester` forgets it, and many modules of native code cannot be
    imported a second time (numpy's).
    """
    if "pytester" not in getattr(item, "fixturenames", ()):
        return (yield)
    imported = Imported(item.config._tmp_path_factory.getbasetemp(), DOUBLES)
    imported.pytest_unconfigure()
    try:
        return (yield)
    finally:
        imported.restore()


def scheduling() -> tuple[set[int], int]:
    """The cores that this process may run on, and its policy."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), 0
    return os.sched_getaffinity(0), os.sched_getscheduler(0)


@contextlib.contextmanager
def scheduling_restored() -> Iterator[None]:
    """For what a launch does with its own process: afterwards cores and policy are as before."""
    cores, policy = scheduling()
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        os.sched_setscheduler(0, policy, os.sched_param(0))


@pytest.fixture(scope="session", autouse=True)
def no_disk_is_waited_for() -> Iterator[None]:
    """Files of tests need not outlive a power cut: thousands would wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def first_scheduling() -> tuple[set[int], int]:
    """How this process of tests began."""
    return scheduling()


@pytest.fixture(autouse=True)
def scheduling_stays(first_scheduling: tuple[set[int], int]) -> Iterator[None]:
    """A test that leaves this process on other cores, or under another policy, fails: all tests
    after it would be slower, and their processes too.
    """
    yield
    assert scheduling() == first_scheduling


@pytest.fixture(scope="session", autouse=True)
def distributions_can_be_found() -> None:
    """`importlib_metadata` puts its finder in the place of Python's, for good. Were it imported in
    a test, `pytester` would take that finder away after it, and leave none.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("importlib_metadata")


def _drawn_here(run: Callable[..., None], file: Path, *more: Any) -> None:
    """In the place of `publish._run`: draws a page in this process, which has the libraries and
    most pictures; what cannot be drawn fails in a process of its own, as for users.
    """
    try:
        publish._draw_here(file, *more[3:] or (None,))
    except Exception:  # noqa: BLE001 - it is raised again, in the words of a session
        run(file, *more)


class Project:
    """A project in a temporary folder, and runs of pytest in it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.root = pytester.path
        self.suite = self.root / "suites" / "tiny"

    def write(self, recipes: str = RECIPES) -> None:
        """Sets the suite file."""
        (self.suite / "recipes.toml").write_text(recipes)

    def run(
        self,
        *arguments: str,
        perf: bool = True,
        history: bool = False,
        page: bool = False,
        process: bool = False,
    ) -> pytest.RunResult:
        """`pytest --perf`, patient with other sessions, without the history and the page that few
        tests are about, and with one short launch, enough for what is no timing. `--perf-seconds`
        among the arguments makes it a session that measures as users have it: four launches at
        least.

        In this process, which has imported all that a session imports; with `process`, in one of
        its own, for what is about processes. Workers are processes of their own either way.
        """
        more = ["-p", "no:cacheprovider"]
        if perf:
            more += ["--perf", "--perf-wait", "300"]
            if not history:
                more += ["--perf-history", "off"]
            if not page:
                more += ["-p", "no_page"]
            if not any(argument.startswith("--perf-seconds") for argument in arguments):
                more += ["--perf-seconds", "1", "-p", "one_launch", "-p", "short_launches"]
        return self.pytest(*more, *arguments, process=process)

    def pytest(self, *arguments: str, process: bool = False) -> pytest.RunResult:
        """As `run`, with these arguments and no others."""
        if process:
            return self.pytester.runpytest_subprocess(*arguments)
        imported = Imported(self.root.parent, DOUBLES)
        try:
            return self.pytester.runpytest_inprocess(*arguments, plugins=[imported])
        finally:
            imported.restore()

    def forget(self) -> None:
        """Empties the cache: the next session builds and evaluates everything."""
        shutil.rmtree(self.root / ".perfgate")

    def sessions(self) -> list[dict[str, Any]]:
        """The session files written so far, oldest first: not by name, of which several are of the
        same second.
        """
        files = (self.root / "reports").glob("*.json")
        ordered = sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name))
        return [json.loads(file.read_text()) for file in ordered]

    def verdicts(self) -> dict[str, str]:
        """The words of the last session's verdicts, by "recipe-metric"."""
        return {
            f"{verdict['recipe']}-{verdict['metric']}": verdict["status"]
            for suite in self.sessions()[-1]["suites"]
            for verdict in suite["verdicts"]
        }


def hear_ctrl_c() -> None:
    """For a child process: what a shell starts in the background is told to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def said(result: pytest.RunResult, *parts: str) -> None:
    """Asserts that the output says each part, wherever its lines were broken."""
    text = "".join("".join(result.outlines).split())
    for part in parts:
        assert "".join(part.split()) in text, part


@pytest.fixture
def project(
    request: pytest.FixtureRequest,
    pytester: pytest.Pytester,
    tiny_suite: Path,
    built_before: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    worker_templates: Templates,
) -> Project:
    """The tiny project, with the moody runtime installed for it, and with the cache that a session
    of the recipe `plain` has left: `forget` empties it.

    Its sessions hold this machine's lock where the test is `alone`. The others, whose tests ask
    for no time, hold one of their own, and measure beside each other, in workers that are forked.
    """
    if request.node.get_closest_marker("alone") is None:
        monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("own")))
        monkeypatch.setattr(tempfile, "tempdir", None)  # where this process looked before
        monkeypatch.setattr(piped_process, "_start", worker_templates.start)
        monkeypatch.setattr(publish, "_run", functools.partial(_drawn_here, publish._run))
    made = Project(pytester)
    made.suite.parent.mkdir()
    made.suite.mkdir()
    squares_project(tiny_suite, made.suite)
    shutil.copytree(built_before, made.root / ".perfgate")
    made.write()
    (made.suite / "test_tiny.py").write_text(TEST)
    pytester.makeini(f"[pytest]\naddopts = {OTHER_PLUGINS}\n")
    site = pytester.path / "site"
    site.mkdir()
    before = os.environ.get("PYTHONPATH", "")
    paths = [str(site), str(DOUBLES)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [*paths, before])))
    for path in (*reversed(paths), str(pytester.path)):  # the last as `python -m pytest` has it
        monkeypatch.syspath_prepend(path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return made


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the mode of the moody runtime (`tests/doubles/moody.py`)."""

    def set_mode(mode: str = "", *, stage: str = "launch", **more: str) -> None:
        monkeypatch.setenv("MOODY", mode)
        monkeypatch.setenv("MOODY_STAGE", stage)
        for name, value in more.items():
            monkeypatch.setenv(f"MOODY_{name.upper()}", value)

    return set_mode
