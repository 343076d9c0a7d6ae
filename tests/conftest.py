"""A tiny project for black-box tests: an ONNX detector of bright squares, and a COCO folder.

Nothing of it needs torch, so that a whole session takes seconds. A runtime of its own, registered
as any third party would, can be told by environment variables to misbehave.

Before it, what lets tests run in several processes (pytest-xdist) though some of them measure: a
test marked `alone` runs while no other test does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Keeps from inner pytest runs that they were started by a worker of pytest-xdist."""
    if hasattr(config, "workerinput"):
        for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
            del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that are alone come first: what is left then keeps every process busy to the end."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test, its fixtures included, beside those of other processes or without them."""
    if not hasattr(item.config, "workerinput"):  # one process, one test at a time
        return (yield)
    mine: Path = item.config._tmp_path_factory.getbasetemp()
    with _turn(mine.parent, alone=item.get_closest_marker("alone") is not None):
        return (yield)


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


SIDE = 64
WINDOW, STRIDE = 16, 8

RECIPES = """\
[suite]
task  = "detection"
model = "squares.onnx"
batch = 4

[suite.data]
calibration = { images = "calibration", annotations = "calibration.json" }
validation  = { images = "validation", annotations = "validation.json" }

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map           = { min = 0.5, regression = 0.01 }
latency_p50   = { max = "2 s", regression = "40%" }
artifact_size = { max = "1 MB" }

[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
map         = { drop = 0.02 }
latency_p50 = { regression = "40%" }
peak_memory = { max = "100 MB" }
"""

TEST = '''\
def test_budget(budget):
    """Every recipe keeps every one of its budgets."""
    budget.check()
'''

MOODY = '''\
"""A runtime that does what ONNX Runtime does, unless the environment says otherwise."""

import ctypes
import fcntl
import os
import time

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession


def in_launch():
    return os.getpid() != os.getpgrp()


class Moody(OnnxRuntime):
    name = "moody"

    class Options(OnnxRuntime.Options):
        @property
        def requires(self):  # as on a machine with a GPU: nothing is skipped for want of one
            return OnnxRuntime.requires

    def open(self, artifact, options, context):
        return MoodySession(artifact, options, context)


class MoodySession(OnnxSession):
    def __init__(self, artifact, options, context):
        super().__init__(artifact, options, context)
        self.kept = []
        self.runs = 0
        basic = options.graph_optimization == "basic"
        self.held = basic and os.environ.get("MOODY") == "one at a time"
        self.leaked = bytearray(int(float(os.environ.get("MOODY_LEAK", "0"))))
        for page in range(0, len(self.leaked), 4096):
            self.leaked[page] = 1
        if os.environ.get("MOODY_STAGE", "launch") == "launch" and not in_launch():
            return
        how = os.environ.get("MOODY", "")
        if how == "segfault":
            ctypes.string_at(0)
        elif how == "raise":
            raise ValueError("moody today")
        elif how == "kill":
            os.kill(os.getpid(), 9)
        elif how == "memory":
            raise MemoryError
        elif how == "hang":
            time.sleep(600)
        elif how == "exit":
            os._exit(3)

    def run(self, batch):
        how = os.environ.get("MOODY", "")
        if self.held:  # a lock that every process needs
            with open("moody.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return self.infer(batch)
        if in_launch() and how == "together":
            os.sched_setaffinity(0, {0})
        if how.startswith("second") and in_launch() and 0 not in os.sched_getaffinity(0):
            self.runs += 1
            if self.runs > 4:
                if how == "second dies":
                    print("these are its last words", flush=True)
                    os.kill(os.getpid(), 9)
                if how == "second hangs":
                    time.sleep(600)
                raise ValueError("the second is moody")
        return self.infer(batch)

    def infer(self, batch):
        start = time.perf_counter()
        outputs = super().run(batch)
        self.kept.append(bytearray(b"x" * int(os.environ.get("MOODY_KEEP", "0"))))
        end = start + float(os.environ.get("MOODY_SECONDS", "0.002"))
        while time.perf_counter() < end:
            pass
        if os.environ.get("MOODY") == "blind":
            outputs = (outputs[0], outputs[1] * 0.0)
        if os.environ.get("MOODY") == "onesided":  # a classifier that knows one class
            outputs = (outputs[0] * 0.0 + [1.0, 0.0, 0.0],)
        if os.environ.get("MOODY") == "timid":  # scores halved: order and threshold are kept
            outputs = (outputs[0], outputs[1] * 0.5 + 0.025)
        if os.environ.get("MOODY") == "shifted":  # every box six pixels further
            outputs = (outputs[0] + 6.0, outputs[1])
        if os.environ.get("MOODY") == "lonely" and len(batch) > 1:  # only ever exported for one
            raise RuntimeError("index 0: Got 2 Expected 1")
        if os.environ.get("MOODY") == "dazzled" and batch.min() > 0.95:  # wrong on white images
            outputs = (outputs[0], outputs[1] * 0.0)
        return outputs
'''


def squares_model(path: Path) -> None:
    """An ONNX graph that calls bright windows squares: boxes (N, A, 4), scores (N, A, 1)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    count = (SIDE - WINDOW) // STRIDE + 1
    corners = [
        [x * STRIDE, y * STRIDE, x * STRIDE + WINDOW, y * STRIDE + WINDOW]
        for y in range(count)
        for x in range(count)
    ]
    constants = {
        "weight": np.full((1, 3, WINDOW, WINDOW), 1 / (3 * WINDOW**2), np.float32),
        "level": np.array(0.6, np.float32),
        "gain": np.array(20.0, np.float32),
        "flat": np.array([0, -1, 1], np.int64),
        "corners": np.array([corners], np.float32),
        "zero": np.array([0], np.int64),
        "tail": np.array([1, 1], np.int64),
    }
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Conv", ["x", "weight"], ["mean"], strides=[STRIDE, STRIDE], name="conv"),
            node("Sub", ["mean", "level"], ["above"]),
            node("Mul", ["above", "gain"], ["steep"]),
            node("Sigmoid", ["steep"], ["score"]),
            node("Reshape", ["score", "flat"], ["scores"]),
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "zero"], ["batch"]),
            node("Concat", ["batch", "tail"], ["wanted"], axis=0),
            node("Expand", ["corners", "wanted"], ["boxes"]),
        ],
        "squares",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", count**2, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", count**2, 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def coco_folder(folder: Path, name: str, count: int, seed: int) -> None:
    """`count` images of bright squares as PNG, and their instances as JSON."""
    from PIL import Image

    random = np.random.default_rng(seed)
    (folder / name).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        pixels = random.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
        for _ in range(int(random.integers(1, 3))):
            x, y = (int(each) * STRIDE for each in random.integers(0, 7, 2))
            pixels[y : y + WINDOW, x : x + WINDOW] = random.integers(200, 255)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "bbox": [x, y, WINDOW, WINDOW],
                }
            )
        file = f"{index}.png"
        Image.fromarray(pixels).save(folder / name / file)
        images.append({"id": index + 1, "width": SIDE, "height": SIDE, "file_name": file})
    coco = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "square"}],
    }
    (folder / f"{name}.json").write_text(json.dumps(coco))


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model and the data; copied, never changed."""
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    folder = tmp_path_factory.mktemp("tiny")
    squares_model(folder / "squares.onnx")
    coco_folder(folder, "calibration", 12, seed=1)
    coco_folder(folder, "validation", 40, seed=2)
    return folder


class Project:
    """A project in a temporary folder, and runs of pytest in it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.root = pytester.path
        self.suite = self.root / "suites" / "tiny"

    def write(self, recipes: str = RECIPES) -> None:
        """Sets the suite file."""
        (self.suite / "recipes.toml").write_text(recipes)

    def run(self, *arguments: str, perf: bool = True, history: bool = False) -> pytest.RunResult:
        """`pytest --perf` in a process of its own; short, patient with other sessions, and
        without the history that few tests are about.
        """
        more = ("--perf", "--perf-wait", "300") if perf else ()
        if perf and not history:
            more += ("--perf-history", "off")
        if perf and "--perf-seconds" not in arguments:
            more += ("--perf-seconds", "1")  # four launches, enough for what is no timing
        return self.pytester.runpytest_subprocess(*more, "-p", "no:cacheprovider", *arguments)

    def sessions(self) -> list[dict[str, Any]]:
        """The session files written so far, oldest first."""
        return [
            json.loads(file.read_text()) for file in sorted((self.root / "reports").glob("*.json"))
        ]

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
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    """The tiny project, with the moody runtime installed for it.

    Its sessions hold this machine's lock where the test is `alone`. The others, whose tests ask
    for no time, hold one of their own, and measure beside each other.
    """
    if request.node.get_closest_marker("alone") is None:
        monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("own")))
    made = Project(pytester)
    made.suite.parent.mkdir()
    made.suite.mkdir()
    for source in tiny_suite.iterdir():
        (made.suite / source.name).symlink_to(source) if source.is_dir() else (
            made.suite / source.name
        ).write_bytes(source.read_bytes())
    for name in ("calibration", "validation"):  # links would leave the project's root
        (made.suite / name).unlink()
        (made.suite / name).mkdir()
        for image in (tiny_suite / name).iterdir():
            (made.suite / name / image.name).write_bytes(image.read_bytes())
    made.write()
    (made.suite / "test_tiny.py").write_text(TEST)
    pytester.makeini("[pytest]\naddopts = -p no:randomly -p no:hypothesispytest\n")
    site = pytester.path / "site"
    (site / "moody-1.0.dist-info").mkdir(parents=True)
    (site / "moody.py").write_text(MOODY)
    (site / "moody-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: moody\nVersion: 1.0\n"
    )
    (site / "moody-1.0.dist-info" / "entry_points.txt").write_text(
        "[pytest_perfgate.runtimes]\nmoody = moody:Moody\n"
    )
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), before])))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return made


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets how the moody runtime misbehaves."""

    def set_mood(how: str = "", *, stage: str = "launch", **more: str) -> None:
        monkeypatch.setenv("MOODY", how)
        monkeypatch.setenv("MOODY_STAGE", stage)
        for name, value in more.items():
            monkeypatch.setenv(f"MOODY_{name.upper()}", value)

    return set_mood
