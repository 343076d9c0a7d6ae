"""What workers inherit: nothing that traces or slows them down; and they send no telemetry."""

from __future__ import annotations

import json
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_perfgate.fleet.engine import _QUIET
from pytest_perfgate.measure.worker_environment import (
    _NO_TELEMETRY,
    allocator,
    identity,
    inherited,
    worker_env,
)
from pytest_perfgate.report.mlflow_run import _CALM

ASK = """\
import json, os, sys, tracemalloc
names = "ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "NNCF_CI", "TF_BUILD"
print(json.dumps([
    tracemalloc.is_tracing(), sys.flags.dev_mode, sys.flags.verbose, [os.environ[n] for n in names]
]))
"""


@pytest.mark.parametrize("name", ["PYTHONTRACEMALLOC", "PYTHONDEVMODE", "PYTHONVERBOSE"])
def test_switches_of_the_interpreter_are_off_in_workers(name: str) -> None:
    """Python itself says so, in a process that has a worker's environment."""
    env = inherited({name: "1", "PATH": "/usr/bin"}) | worker_env(1)
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [False, False, 0, ["1"] * 5]


def test_the_docs_name_every_switch_of_telemetry() -> None:
    """And with it what the library sends where nobody sets it."""
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    switches = [*_NO_TELEMETRY.items(), *_QUIET.items(), *_CALM.items()]
    named = [f"`{name}={value}`" for name, value in switches if re.search("TELEM|STATS", name)]
    assert len(named) == 4
    for switch in (*named, "`DO_NOT_TRACK=1`", "`NNCF_CI=1`", "`TF_BUILD=1`"):
        assert switch in text, switch


@pytest.mark.parametrize(
    "name",
    [
        *("COV_CORE_SOURCE", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYDEVD_X"),
        *("PYTHON_PERF_JIT_SUPPORT", "MALLOC_CHECK_", "MALLOC_PERTURB_", "LD_DEBUG"),
    ],
)
def test_tracers_are_not_inherited(name: str) -> None:
    """Each starts a tracer in every new process; the project's own variables stay."""
    kept = {"PYTHONPATH": "lib", "LD_LIBRARY_PATH": "cuda", "COVERAGE": "mine", "MODEL": "x"}
    assert inherited({name: "1", **kept}) == kept


def test_a_preloaded_allocator_is_named() -> None:
    """Two sessions of which one has it differ in their environment."""
    plain = allocator({})
    assert allocator({"LD_PRELOAD": ""}) == plain
    preloaded = allocator({"LD_PRELOAD": "/usr/lib/libjemalloc.so.2 /opt/libother.so"})
    assert preloaded == f"{plain} LD_PRELOAD=libjemalloc.so.2 LD_PRELOAD=libother.so".strip()


def test_a_container_user_without_an_entry_gets_a_name_and_a_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`docker run --user 1234`: getpass.getuser() and Path.home() raise there."""

    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    assert identity(Path("/home/cache"), {}) == {}  # this user has an entry
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr("os.getuid", lambda: 1234)
    assert identity(Path("/cache"), {}) == {"USER": "uid-1234", "HOME": "/cache"}
    assert identity(Path("/cache"), {"LOGNAME": "ci", "HOME": "/"}) == {}
