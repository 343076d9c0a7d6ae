"""A server in a container: the command of an engine that runs it, and what it would be without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext, containers
from pytest_perfgate.runtimes.kserve import KServe, KServeOptions
from pytest_perfgate.runtimes.server_process import split_cores

from tests.doubles import v2_server

pytest.importorskip("tritonclient", reason="python -m pip install 'pytest-perfgate[serving]'")

IMAGE = "registry.example.org/served:1"
ENGINE = """\
#!{python}
# Stands for an engine: notes what it is told, and runs the program of an image on this host.
import os, sys
with open({calls!r}, "a") as file:
    print(*sys.argv[1:], sep="\\t", file=file)
if sys.argv[1] == "ps":
    print({orphans!r})
if sys.argv[1] == "run":
    program = sys.argv[sys.argv.index({image!r}) + 1:]
    os.execv(program[0], program)
"""


@pytest.fixture
def fresh() -> Iterator[None]:
    """The engine is looked for anew."""
    containers.engine.cache_clear()
    yield
    containers.engine.cache_clear()


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None) -> Path:  # noqa: ARG001 - before it
    """The file of what an engine was told, the first one on the path."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    file, program = tmp_path / "calls", tmp_path / "bin" / "docker"
    program.parent.mkdir()
    orphans = f"abandoned {dead.pid}\nother {os.getpid()}"
    program.write_text(
        ENGINE.format(python=sys.executable, calls=str(file), orphans=orphans, image=IMAGE)
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return file


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores of Linux")
def test_an_image_is_run_and_its_container_is_removed(calls: Path, tiny_suite: Path) -> None:
    """On the server's cores, with the artifact's folder and the names of variables. A container
    whose process is gone is removed before, and no other.
    """
    pytest.importorskip("onnxruntime")
    cores = sorted(os.sched_getaffinity(0))
    file = tiny_suite / "squares.onnx"
    options = KServeOptions(
        image=IMAGE,
        start=("{python}", v2_server.__file__, "--port", "{port}", "--onnx", "{artifact}"),
        environment={"SECRET_OF_A_TEST": "not in a list of processes"},
    )
    try:
        session = KServe().open(Artifact(ONNX, path=file), options, OpenContext(1, Path()))
        try:
            session.run(Inputs(np.zeros((1, 3, 64, 64), np.float32)))
            assert session.peak_server_memory() is None  # the engine's program is not the server
        finally:
            session.close()
    finally:
        os.sched_setaffinity(0, cores)
    words = [line.split("\t") for line in calls.read_text().splitlines()]
    (run,) = (call for call in words if call[0] == "run")
    (name,) = (word.removeprefix("--name=") for word in run if word.startswith("--name="))
    served = ",".join(map(str, split_cores(cores)[0]))
    for word in (
        f"--cpuset-cpus={served}",
        f"--volume={file.resolve().parent}:{file.resolve().parent}:ro",
        f"--label=pytest-perfgate.process={os.getpid()}",
        "--network=host",
        "SECRET_OF_A_TEST",
    ):
        assert word in run
    assert "not in a list" not in calls.read_text()
    removed = [call[2] for call in words if call[0] == "rm"]
    assert removed == ["abandoned", name]


@pytest.mark.usefixtures("fresh")
def test_without_an_engine_its_command_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is no program, or one whose daemon does not answer: the recipe is skipped, and
    who opens it all the same gets an error.
    """
    monkeypatch.setenv("PATH", str(tmp_path))
    options = KServeOptions(image=IMAGE, start=("--port={port}",), environment={"MODE": "fast"})
    for state in ("none is here", "docker here has no daemon that answers"):
        (missing,) = (one for one in KServe().requires_with(options) if one.missing)
        assert missing.module == "a container engine"
        assert state in missing.reason
        assert (
            "docker run --rm --init --network=host '--cpuset-cpus={cores}' "
            f"--volume=FOLDER:FOLDER:ro --env MODE {IMAGE} '--port={{port}}'"
        ) in missing.reason
        with pytest.raises(RuntimeFault, match="container") as caught:
            KServe().open(Artifact(ONNX, path=tmp_path), options, OpenContext(1, Path()))
        assert "docker run" in caught.value.problem
        program = tmp_path / "docker"
        program.write_text(f"#!{sys.executable}\nraise SystemExit('no daemon')\n")
        program.chmod(0o755)
        containers.engine.cache_clear()


def test_an_image_needs_no_arguments() -> None:
    """Where its program listens on a port of its own, the address says which."""
    assert KServeOptions(image=IMAGE, url="http://127.0.0.1:8000").start == ()
