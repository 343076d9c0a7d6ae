"""A small real model, and what a suite offers to a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.steps import BuildContext
from pytest_perfgate.steps.export import Export

SIDE = 32


def example(count: int) -> Any:
    """A network input (count, 3, SIDE, SIDE), the same every time."""
    return np.random.default_rng(count).random((count, 3, SIDE, SIDE), dtype=np.float32)


def infer(path: Path, batch: Any) -> Any:
    """The first output of an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """Builds the same small network every time: (N, 3, H, W) to (N, 5, H / 4, W / 4)."""
    torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    torch.set_num_threads(1)

    def build(*tail: Any) -> Any:
        torch.manual_seed(7)
        nn = torch.nn
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.ReLU(),
            *(tail or (nn.Conv2d(32, 5, 1),)),
        ).eval()

    return build


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., BuildContext]:
    """A context whose folder is new; keyword arguments replace what it offers."""

    def build(name: str = "link", **changes: Any) -> BuildContext:
        folder = tmp_path / name
        folder.mkdir()
        offered: dict[str, Any] = {
            "folder": folder,
            "example": example,
            "inputs": lambda _, limit: (example(seed + 1)[:1] for seed in range(limit)),
            "data": lambda split: split,
            "trainer": None,
            "seed": 0,
            "threads": 1,
        }
        return BuildContext(**{**offered, **changes})

    return build


@pytest.fixture
def exported(make_model: Any, make_context: Any) -> Artifact:
    """The small model as an ONNX file."""
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    pytest.importorskip("onnxscript", reason="python -m pip install 'pytest-perfgate[onnx]'")
    module = Artifact(TORCH, module=make_model())
    return Export().apply(module, Export.Options(), make_context("exported")).artifact
