"""`tox run -e gpu` has what GPU recipes need, and one build of ONNX Runtime."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return match[0].lower()


def _distributions(extra: str) -> set[str]:
    """Names of all that an extra installs, extras of the project itself followed."""
    names: set[str] = set()
    for requirement in EXTRAS[extra]:
        if own := re.match(r"pytest-perfgate\[(.*)\]", requirement):
            names |= {name for inner in own[1].split(",") for name in _distributions(inner)}
        else:
            names.add(_name(requirement))
    return names


def test_the_extra_is_whole_and_has_one_onnxruntime() -> None:
    """What its recipes import comes with it, so that no other extra is needed beside it."""
    names = _distributions("gpu")
    assert names >= {
        "torch", "onnx", "onnxscript", "onnxruntime-gpu", "tensorrt", "pycuda", "nvidia-ml-py",
    }  # fmt: skip
    assert "onnxruntime" not in names


def test_the_environment_installs_it_and_runs_all_three() -> None:
    """The tests of a GPU, the suites, the benchmark; one that fails does not hide the others."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    section = tox["testenv:gpu"]
    assert section["extras"].split() == ["gpu"]
    installed = {_name(line) for line in section["deps"].split("\n") if line.strip()}
    assert not installed & {"onnxruntime", "pytest-perfgate"}
    assert {"scikit-image", "scikit-learn", "faster-coco-eval"} <= installed  # the suites' data
    commands = section["commands"]
    assert "pytest --benchmark-disable -m gpu tests" in commands
    assert "pytest --perf suites/gpu" in commands
    assert "python -m benchmarks.gpu" in commands
    assert section["ignore_errors"] == "true"
    assert section["constrain_package_deps"] == "false"
