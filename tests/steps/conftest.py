"""A small real model, and what a suite offers to a step."""

from __future__ import annotations

import copy
import functools
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.inputs import Inputs
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


def small_model(*tail: Any) -> Any:
    """The same small network every time: (N, 3, H, W) to (N, 5, H / 4, W / 4), or what `tail` makes
    of its 32 channels.
    """
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU(),
        *(tail or (nn.Conv2d(32, 5, 1),)),
    ).eval()


def context_in(folder: Path, **changes: Any) -> BuildContext:
    """A context whose folder is new; keyword arguments replace what it offers."""
    folder.mkdir()
    offered: dict[str, Any] = {
        "folder": folder,
        "example": lambda count: Inputs(example(count)),
        "inputs": lambda _, limit: (Inputs(example(seed + 1)[:1]) for seed in range(limit)),
        "data": lambda split: split,
        "trainer": None,
        "seed": 0,
        "threads": 1,
    }
    return BuildContext(**{**offered, **changes})


@pytest.fixture(scope="session", autouse=True)
def translations_read_once() -> Iterator[None]:
    """Torch reads the sources of 500 operators' translations to ONNX anew for every export, which
    takes half of the time of a small network's.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))
        yield


@pytest.fixture(scope="session", autouse=True)
def patterns_exported_once() -> Iterator[None]:
    """Torchao exports the same patterns of a few operators, a quarter of a second each, whenever a
    network goes from training to evaluation or back: two thirds of the time of a small one's.
    """
    if importlib.util.find_spec("torchao") is None:
        yield
        return
    from torchao.quantization.pt2e import qat_utils, utils

    name = "_get_aten_graph_module_for_pattern"
    once = _exported_once(getattr(utils, name))
    with pytest.MonkeyPatch.context() as patch:
        for module in (utils, qat_utils):
            patch.setattr(module, name, once)
        yield


def _exported_once(export: Callable[..., Any]) -> Callable[..., Any]:
    """Whoever asks gets a copy, to change as it likes."""
    known: dict[Any, Any] = {}

    def exported(pattern: Any, inputs: Any, is_cuda: bool = False, **options: Any) -> Any:
        function = getattr(pattern, "fn", pattern)
        cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        shapes = [getattr(one, "shape", one) for one in inputs]
        code = getattr(function, "__code__", function)
        key = (code, *cells, *shapes, is_cuda, *sorted(options.items()))
        try:
            if key not in known:
                known[key] = export(pattern, inputs, is_cuda, **options)
        except TypeError:  # a function within it is another one each time, or has no hash
            return export(pattern, inputs, is_cuda, **options)
        return copy.deepcopy(known[key])

    return exported


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """Builds the small network."""
    pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    return small_model


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., BuildContext]:
    """A context whose folder is new; keyword arguments replace what it offers."""

    def build(name: str = "link", **changes: Any) -> BuildContext:
        return context_in(tmp_path / name, **changes)

    return build


@pytest.fixture(scope="session")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The small model as an ONNX file that nobody changes: exporting takes seconds."""
    pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    pytest.importorskip("onnxscript", reason="python -m pip install 'pytest-perfgate[onnx]'")
    context = context_in(tmp_path_factory.mktemp("exported") / "link")
    return Export().apply(Artifact(TORCH, module=small_model()), Export.Options(), context).artifact


@pytest.fixture
def exported(exported_once: Artifact, tmp_path: Path) -> Artifact:
    """The small model as an ONNX file of this test's own."""
    assert exported_once.path is not None
    folder = tmp_path / "exported"
    folder.mkdir()
    return replace(exported_once, path=Path(shutil.copy(exported_once.path, folder)))
