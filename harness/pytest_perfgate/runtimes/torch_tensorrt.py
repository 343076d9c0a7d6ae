"""Torch-TensorRT behind torch.compile, with proof that its engines run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.registry import Requirement

TORCH_TENSORRT = Requirement("torch_tensorrt", "python -m pip install torch-tensorrt")

_BACKEND = "torch_tensorrt"
_OPERATOR = "tensorrt::execute_engine"
"""What an engine is to torch: one operator, which its profiler sees."""

_OPTIONS = {
    "pass_through_build_failures": True,  # else what does not build runs in torch, unsaid
    "use_explicit_typing": True,  # precision comes from the module's types, as with TensorRT 11
    "use_python_runtime": False,  # in which engines are no operators
}


def backend() -> Callable[[Any, Any], Any]:
    """Compiles a graph of torch to code that runs TensorRT's engines."""
    import torch_tensorrt  # noqa: F401 - it registers the backend
    from torch._dynamo.backends.registry import lookup_backend

    compiler: Any = lookup_backend(_BACKEND)
    return lambda graph, inputs: compiler(graph, inputs, options=dict(_OPTIONS))


def engines_run(infer: Callable[[], Any]) -> int:
    """How often an inference ran an engine, by torch's profiler.

    Raises:
        RuntimeFault: it ran none: everything was left to torch.
    """
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        infer()
    count = sum(event.count for event in profiler.key_averages() if event.key == _OPERATOR)
    if not count:
        raise RuntimeFault(
            'compile_backend = "tensorrt" is set, but an inference ran none of its engines',
            next_step="TORCH_LOGS=graph_breaks says where tracing stopped; or use inductor",
        )
    return int(count)
