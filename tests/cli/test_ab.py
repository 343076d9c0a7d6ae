"""`pytest-perfgate ab`: two endpoints, or two files behind a server, beside each other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.cli.ab_run import Pairs
from pytest_perfgate.cli.main import main
from pytest_perfgate.cli.options import UNMEASURED
from pytest_perfgate.load.load_run import LoadRun

pytest.importorskip("tritonclient", reason="python -m pip install 'pytest-perfgate[serving]'")
pytest.importorskip("mlperf_loadgen", reason="python -m pip install 'pytest-perfgate[serving]'")

from tests.blackbox.test_workers import until
from tests.conftest import Project
from tests.doubles import v2_server
from tests.doubles.v2_server import Mode, Model, serving
from tests.squares import HEAD

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
MARK = "SERVED_BY_A_TEST_OF_AB"
BRIGHT = Model(
    {"x": ("FP32", [-1, 3, -1, -1])},
    {"mean": ("FP32", [-1])},
    lambda given: {"mean": given["x"].mean(axis=(1, 2, 3)).astype(np.float32)},
)
SUITE = HEAD + (
    f"""
[[recipe]]
name     = "plain"
runtime  = "onnxruntime"

[[recipe]]
name     = "served"
workload = {{ name = "serving", scenario = "server", rate = 200, latency_limit = "5 s" }}
[recipe.runtime]
name        = "kserve"
start       = ["{{python}}", "{v2_server.__file__}", "--port", "{{port}}", "--onnx", "{{artifact}}"]
environment = {{ {MARK} = "{{port}}" }}
"""
)
QUICK = ("--suite", "suites/tiny", "--turn", "0.1", "--seed", "1")


@pytest.fixture
def suite(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose recipe `served` is at an endpoint, as the current folder."""
    project.write(SUITE)
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command puts the project first
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "")  # a neighbour on the test's core
    return project


def ab(first: str, second: str, *more: str) -> int:
    """The exit code of the command."""
    return main(["ab", first, second, *QUICK, *more])


@pytest.mark.usefixtures("suite")
def test_the_slower_endpoint_is_named_and_the_quicker_one_passes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """2 ms beside 30 ms: each way round, as soon as it is proven; and not at all without time."""
    with serving(BRIGHT, Mode(delay=0.002)) as quick, serving(BRIGHT, Mode(delay=0.03)) as slow:
        assert ab(quick, slow) == 1
        text = capsys.readouterr().out
        assert f"B: {slow}" in text
        assert "FAIL: request_latency_p50 of B is +" in text
        assert "over 8 pairs of turns; budget +2.0 %" in text
        assert ab(slow, quick, "--json") == 0
        record = json.loads(capsys.readouterr().out)
        assert record["status"] == "PASS"
        assert len(record["ratios"]) == 8
        assert record["growth"] < -0.5
        assert record["seed"] == 1
        assert ab(slow, quick, "--seconds", "0") == 10
        text = capsys.readouterr().out
        assert "INCONCLUSIVE" in text
        assert "over 1 pair of turns" in text
        assert "next: --seconds 90" in text
        assert "8 pairs are the fewest" in text


@pytest.mark.usefixtures("suite")
def test_pairs_in_which_the_generator_was_late_do_not_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where all are, nothing was measured, and that is no PASS."""
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "the load generator was late itself")
    with serving(BRIGHT) as first, serving(BRIGHT) as second:
        assert ab(first, second, "--seconds", "0.3") == 10
    text = capsys.readouterr().out
    assert "ERROR: no pair of turns was measured" in text
    assert "left out: the load generator was late itself" in text
    assert "pytest-perfgate doctor" in text


@pytest.mark.usefixtures("suite")
def test_an_endpoint_that_fails_is_named_with_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its letter, the number of requests and what to do; nothing is judged."""
    with serving(BRIGHT) as good, serving(BRIGHT, Mode(fails_every=10)) as bad:
        assert ab(good, bad) == UNMEASURED
        text = capsys.readouterr().err
        assert "B: 2 of 20 requests failed: HTTP 500: the GPU has fallen" in text
        assert "workload.errors_allowed" in text
    assert ab("http://127.0.0.1:9", good) == UNMEASURED
    assert "A: runtime.url" in capsys.readouterr().err


@pytest.mark.usefixtures("suite")
def test_ctrl_c_says_what_was_proven_until_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exits as an interrupted program does."""
    measure = Pairs._measure

    def interrupted(pairs: Pairs, number: int) -> None:
        if number == 4:
            raise KeyboardInterrupt
        measure(pairs, number)

    monkeypatch.setattr(Pairs, "_measure", interrupted)
    with serving(BRIGHT) as first, serving(BRIGHT) as second:
        assert ab(first, second) == 130
    assert "over 3 pairs of turns" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("targets", "more", "words"),
    [
        (("http://example.org", "http://127.0.0.1:9"), (), "example.org is not this machine"),
        (("nothing.onnx", "nothing.onnx"), (), "is no file that is a model, and no address"),
        (("http://127.0.0.1:9",) * 2, ("--recipe", "plain"), "infers in process"),
        (("http://127.0.0.1:9",) * 2, ("--recipe", "other"), "there is no recipe 'other'"),
        (("http://127.0.0.1:9",) * 2, ("--budget", "2"), "is no percentage"),
        (("http://127.0.0.1:9",) * 2, (), "B: http://127.0.0.1:9: it is A, too"),
        (("http://127.0.0.1:9", "http://localhost:9/"), (), "B: http://localhost:9/: it is A, too"),
        (("suites/tiny/squares.onnx", "link.onnx"), (), "B: link.onnx: it is A, too: suites/tiny"),
    ],
)
@pytest.mark.usefixtures("suite")
def test_what_cannot_be_compared_is_refused(
    targets: tuple[str, str], more: tuple[str, ...], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """With what is valid."""
    Path("link.onnx").symlink_to("suites/tiny/squares.onnx")
    assert ab(*targets, *more) == UNMEASURED
    assert words in capfd.readouterr().err


def servers() -> list[str]:
    """The servers that the command started."""
    pids = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and MARK.encode() in (process / "environ").read_bytes():
                pids.append(process.name)
        except OSError:
            continue
    return pids


@pytest.mark.skipif(CORES < 2, reason="server and generator need a core each")
@pytest.mark.parametrize("killed", [False, True])
def test_files_are_served_on_the_same_cores_and_no_server_is_left(
    suite: Project, killed: bool
) -> None:
    """Whether the command ends by itself or is killed."""
    pytest.importorskip("onnxruntime")
    file = suite.suite / "squares.onnx"
    copy = shutil.copyfile(file, suite.root / "copy.onnx")
    seconds = "600" if killed else "0"
    arguments = ["ab", str(file), str(copy), *QUICK, "--seconds", seconds, "--budget", "0%"]
    program = f"from pytest_perfgate.cli.main import main; raise SystemExit(main({arguments}))"
    command = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=suite.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        if killed:
            until(lambda: len(servers()) == 2, 60)
            assert len({tuple(os.sched_getaffinity(int(pid))) for pid in servers()}) == 1
            command.send_signal(signal.SIGKILL)
        text = command.communicate(timeout=120)[0]
        if not killed:
            assert command.returncode == 10, text
            assert "in a turn, seed 1" in text
            assert "note: the files of A and B have the same content" in text
        until(lambda: not servers(), 20)
    finally:
        command.kill()
