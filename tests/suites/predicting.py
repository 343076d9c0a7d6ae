"""Predictions by a demo suite's stages: of its network, of a worse one, of one that comes as it is.

Imported after `pytest.importorskip("torch")`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.suite.metrics import task_of

_BATCH = 4
"""Larger ones leave the caches of a core: 20 images of 320 pixels took 1.7 times as long each."""


def stages(suite: Suite) -> Any:
    """The pipeline that a suite declares."""
    task = task_of(suite.task)
    return task.pipeline(
        task.Input.model_validate(dict(suite.input)),
        task.Output.model_validate(dict(suite.output)),
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Has torch use one thread: more of them wait for each other on a shared core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def predictions(network: Any, pipeline: Any, images: Sequence[Any]) -> list[Any]:
    """Of a network with one output or several."""
    results: list[Any] = []
    with one_thread(), torch.inference_mode():
        for begin in range(0, len(images), _BATCH):
            inputs, meta = pipeline.preprocess(images[begin : begin + _BATCH])
            outputs = network(torch.from_numpy(inputs.images))
            several = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
            results += pipeline.postprocess(tuple(one.numpy() for one in several), meta)
    return results


def saturated(network: Any) -> Any:
    """A network whose activations are cut off at a tenth of a usual range, in 255 steps."""

    def cut(_module: Any, _inputs: Any, output: Any) -> Any:
        return output.clamp(0, 0.6).mul_(255 / 0.6).round_().mul_(0.6 / 255)

    for layer in network.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(cut)
    return network


def by_ppocr(pipeline: Any, images: Sequence[Any]) -> list[Any]:
    """Predictions from PP-OCR's map of text; skips where a package is missing."""
    runtime = pytest.importorskip("onnxruntime")
    rapidocr = pytest.importorskip("rapidocr", reason="python -m pip install rapidocr")
    file = Path(rapidocr.__file__).parent / "models/PP-OCRv6_det_small.onnx"
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    results: list[Any] = []
    for image in images:
        batch, meta = pipeline.preprocess([image])
        outputs = session.run(None, {session.get_inputs()[0].name: batch.images})
        results += pipeline.postprocess(tuple(outputs), meta)
    return results
