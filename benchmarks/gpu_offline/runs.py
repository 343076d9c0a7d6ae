"""What is measured on a GPU host, in the order of its value, in runs of at most nine minutes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_SECONDS = 540.0
_LAST_WORDS = 6000
_FIGURES = "{figures}"


@dataclass(frozen=True)
class Run:
    """One command.

    Attributes:
        name: of its file of figures.
        needs: the groups of wheels that must have been installed.
        command: arguments of the host's Python; `{figures}` stands for a folder that the command
            writes its JSON files into.
    """

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]


def _modes(model: str, runtime: str, *batches: int) -> tuple[str, ...]:
    sizes = [argument for batch in batches for argument in ("--batch", str(batch))]
    command = ("-m", "benchmarks.gpu", "--model", model, "--runtime", runtime)
    return (*command, *sizes, "--json", f"{_FIGURES}/modes.json")


def _calibration(workload: str) -> tuple[str, ...]:
    command = ("-m", "benchmarks.calibration", "--workload", workload, "--quick")
    return (*command, "--json", f"{_FIGURES}/calibration.json")


def _suite(name: str, expression: str) -> tuple[str, ...]:
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--perf", f"suites/gpu/{name}")
    return (*command, "-k", expression, "--perf-seconds", "240", "--perf-reports", _FIGURES)


def _tests(*paths: str) -> tuple[str, ...]:
    return ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", *paths)


_TORCH = "not onnx and not trt and not rtx"
_BASE, _PAGE, _ONNX = ("base",), ("base", "page"), ("base", "page", "onnxruntime")
_ENGINES = ("base", "page", "pycuda", "tensorrt")

RUNS: tuple[Run, ...] = (
    Run("torch-detector", _BASE, _modes("digits", "torch", 1, 8, 32)),
    Run("torch-classifier", _BASE, _modes("resnet50", "torch", 1, 8)),
    Run("torch-classifier-32", _BASE, _modes("resnet50", "torch", 32)),
    Run("calibration-torch", _PAGE, _calibration("torch_cuda")),
    Run("tests-torch", _BASE, _tests("tests/runtimes/test_torch_cuda.py", "tests/machine")),
    Run("onnx-detector", _ONNX, _modes("digits", "onnxruntime", 1, 8, 32)),
    Run("onnx-classifier", _ONNX, _modes("resnet50", "onnxruntime", 1, 8, 32)),
    Run("calibration-onnx", _ONNX, _calibration("onnx_cuda")),
    Run("tests-onnx", (*_ONNX, "pycuda"), _tests("tests/runtimes/test_onnxruntime.py")),
    Run(
        "tests-tensorrt",
        _ENGINES,
        _tests("tests/runtimes/test_tensorrt.py", "tests/steps/test_tensorrt.py"),
    ),
    Run("suite-detector", _PAGE, _suite("detector", _TORCH)),
    Run("suite-classifier", _PAGE, _suite("classifier", _TORCH)),
    Run("suite-onnx", (*_ONNX, "pycuda"), _suite("detector", "fp32 or onnx")),
    Run("suite-tensorrt", _ENGINES, _suite("detector", "fp32 or trt")),
    Run("suite-batches", _PAGE, _suite("detector_batches", _TORCH)),
    Run("tests", _BASE, _tests("tests")),
)
"""Torch's modes, verdicts of a known truth, ONNX Runtime, TensorRT, the suites, all tests."""


def perform(run: Run, out: Path, environment: dict[str, str], seconds: float) -> dict[str, Any]:
    """Runs one command for `seconds` at the most, and writes `<out>/<name>.json`: the command, how
    it ended ("ended", "out of time"), its exit code and seconds, the end of what it printed, and
    every JSON file that it wrote.
    """
    figures = out / run.name
    figures.mkdir(parents=True, exist_ok=True)
    command = [part.replace(_FIGURES, str(figures)) for part in run.command]
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment, start_new_session=True,
    )  # fmt: skip
    ending = "ended"
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        ending = "out of time"
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
    record = {
        "name": run.name,
        "command": ["python", *run.command],
        "ending": ending,
        "exit_code": process.returncode,
        "seconds": round(time.monotonic() - start, 1),
        "printed": printed[-_LAST_WORDS:],
        "figures": {path.name: _read(path) for path in sorted(figures.rglob("*.json"))},
    }
    text = json.dumps(record, indent=1)
    fresh = out / f".{run.name}.json"
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(out / f"{run.name}.json")
    return record


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"not JSON: {error}"


def chosen(names: Sequence[str], installed: Sequence[str]) -> tuple[list[Run], list[Run]]:
    """The runs by these names, of all when none is named: those whose wheels are installed, and
    those that lack some.

    Raises:
        ValueError: there is no run of a name.
    """
    known = {run.name: run for run in RUNS}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no run {name!r}; valid: {', '.join(known)}")
    wanted = [run for run in RUNS if not names or run.name in names]
    ready = [run for run in wanted if set(run.needs) <= set(installed)]
    return ready, [run for run in wanted if run not in ready]
