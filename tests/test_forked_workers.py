"""Workers that are forked are as those that are programs of their own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from pytest_perfgate.machine import piped_process
from pytest_perfgate.measure.worker_environment import worker_env
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.suite.reading import read
from pytest_perfgate.worker.protocol import Failed, PrepareJob

from tests.forked_workers import FRAMEWORKS, OF_ONNX, Templates, frameworks_of

SUITE = """\
[suite]
task = "detection"
model = "telling:build"
[suite.data]
validation = "telling:validation"
[[recipe]]
name = "fp32"
runtime = "torch"
"""

ONNX_SUITE = SUITE.replace("telling:build", "squares.onnx").replace('"torch"', '"onnxruntime"')

TELLING = """\
import json, os, signal, sys
from pathlib import Path
print("heard")
import onnxruntime.capi.onnxruntime_pybind11_state as native
import onnxruntime as framework
from pytest_perfgate.worker.dispatch import _MODULES
JOBS = ["launch", *(name for name, _ in _MODULES.values())]
modules = [name for name in sys.modules if not name.startswith("pytest_perfgate")]
told = {
    "argv": sys.argv[:1], "path": sys.path, "folder": os.getcwd(), "env": dict(os.environ),
    "flags": str(sys.flags), "bytecode": sys.dont_write_bytecode,
    "cores": sorted(os.sched_getaffinity(0)),
    "files": sorted(os.readlink(f"/proc/self/fd/{fd}").partition(":")[0].rpartition("-")[2]
                    for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
    "session": os.getsid(0) == os.getppid(),  # of its keeper
    "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM)],
    "jobs": [name for name in JOBS if f"pytest_perfgate.worker.{name}" in sys.modules],
    "framework": [framework.__spec__.origin, framework.capi is sys.modules["onnxruntime.capi"]],
    "native": native.__spec__.origin,
    "packages": sorted({name.partition(".")[0] for name in modules} - sys.stdlib_module_names),
}
with open("told", "a") as file:
    file.write(json.dumps(told) + "\\n")
if os.environ["MOOD"] == "hangs":
    import time
    time.sleep(600)
raise RuntimeError("no model")
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs subreapers (prctl)")


def jobs(folder: Path, moods: list[str]) -> list[Job]:
    """Builds of a recipe whose model module tells what it finds."""
    (folder / "recipes.toml").write_text(SUITE)
    (folder / "telling.py").write_text(TELLING)
    suite = read(folder / "recipes.toml", folder).suite
    assert suite is not None
    work = PrepareJob(suite, "fp32", folder / "cache", folder / "images.npz")
    env = worker_env(1) | {"PYTHONPATH": f"{folder / 'site'}{os.pathsep}"}
    return [
        Job(mood, work, folder, env | {"MOOD": mood}, silence=8.0 if mood == "hangs" else 60.0)
        for mood in moods
    ]


@pytest.mark.parametrize(
    ("suites", "frameworks"),
    [
        ([], FRAMEWORKS),
        ([SUITE], FRAMEWORKS),
        ([ONNX_SUITE], OF_ONNX),
        ([ONNX_SUITE, SUITE], FRAMEWORKS),
        ([ONNX_SUITE.replace('"onnxruntime"', '"torch"')], FRAMEWORKS),
    ],
)
def test_suites_of_onnx_files_get_workers_without_torch(
    tmp_path: Path, suites: list[str], frameworks: tuple[str, ...]
) -> None:
    """Their forks are cheaper; one suite that may need torch is enough for all of it."""
    for number, text in enumerate(suites):
        folder = tmp_path / "suites" / f"suite{number}"
        folder.mkdir(parents=True)
        (folder / "recipes.toml").write_text(text)
    assert frameworks_of(tmp_path) == frameworks


def test_a_forked_worker_finds_what_a_started_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments, import path, variables, descriptors, signals, cores and packages, of frameworks
    those that it imports; it answers and ends as one, and is killed as one, with its template still
    there for the next.
    """
    for framework in ("onnx", "onnxruntime"):
        pytest.importorskip(framework, reason="python -m pip install 'pytest-perfgate[onnx]'")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # last words come without it
    with Templates() as templates, Pool(1, tmp_path / "logs") as pool:
        monkeypatch.setattr(piped_process, "_start", templates.start)
        events = list(pool.run(jobs(tmp_path, ["fails", "fails", "hangs", "fails"])))
        forked = [one for one in templates.templates if one is not None]
        assert [one.forked for one in forked] == [3]
    started, *others = map(json.loads, (tmp_path / "told").read_text().splitlines())
    assert len(others) == 3
    assert "onnxruntime" in started["packages"]
    assert "onnx" not in started["packages"]
    for told in others:
        assert told | {"env": 0} == started | {"env": 0}
        assert told["env"] | {"MOOD": 0} == started["env"] | {"MOOD": 0}
    failed = [event for _, event in events if isinstance(event, Failed)]
    assert ["no model" in each.problem for each in failed] == [True] * 3
    ended = [event for _, event in events if isinstance(event, Ended)]
    assert [each.problem.partition(" for ")[0] for each in ended] == [
        *("", "", "the worker sent no message", "")
    ]
    assert ended[2].last_words == "heard"
