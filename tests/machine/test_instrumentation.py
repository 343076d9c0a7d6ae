"""What is at work in a process beside its own work is named, however it came there."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import FrameType

import pytest
from pytest_perfgate.machine.instrumentation import instruments

from tests.machine.kernel import put


def tracer(frame: FrameType, event: str, argument: object) -> None:
    """Traces nothing."""


def test_a_clean_process_has_none(tmp_path: Path) -> None:
    """A worker as it is started; `/proc` may not tell."""
    code = "from pytest_perfgate.machine.instrumentation import instruments as i; print(i())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "()"
    put(tmp_path, "proc/self/status", "Name:\tpython\nTracerPid:\t0\n")
    assert not [name for name in instruments(tmp_path, {}) if name.startswith("process")]


def test_hooks_of_the_interpreter_are_named() -> None:
    """By the module that they are of, whoever set them: a `sitecustomize`, the suite's code."""
    before = sys.gettrace(), sys.getprofile()
    sys.settrace(tracer)  # type: ignore[arg-type] # it returns no tracer for a frame
    sys.setprofile(tracer)
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        names = instruments(Path("/nowhere"), {})
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        if not tracing:
            tracemalloc.stop()
    assert {"tests (sys.settrace)", "tests (sys.setprofile)", "tracemalloc"} <= set(names)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
def test_tools_of_sys_monitoring_are_named() -> None:
    """Coverage uses it from Python 3.14 on."""
    monitoring = sys.monitoring  # type: ignore[attr-defined] # mypy checks for Python 3.11
    monitoring.use_tool_id(4, "a profiler")
    try:
        assert "a profiler (sys.monitoring)" in instruments(Path("/nowhere"), {})
    finally:
        monitoring.free_tool_id(4)


def test_debuggers_and_preloaded_libraries_are_named(tmp_path: Path) -> None:
    """From the kernel's and the linker's own words."""
    put(tmp_path, "proc/self/status", "Name:\tpython\nTracerPid:\t41\n")
    put(tmp_path, "proc/41/comm", "strace\n")
    environ = {"LD_PRELOAD": "/usr/lib/libjemalloc.so.2 /opt/libother.so", "LD_AUDIT": "/a/b.so"}
    assert instruments(tmp_path, environ)[-4:] == (
        "process 41 (strace), which traces it",
        "LD_PRELOAD=libjemalloc.so.2",
        "LD_PRELOAD=libother.so",
        "LD_AUDIT=b.so",
    )
