"""Profiles of a GPU: kernels by the layer or node that launched them.

No GPU was at hand: these events are made by hand, in the shape of torch 2.14's `FunctionEvent` and
of the JSON that ONNX Runtime's CUDA profiling writes (its pull request 8406 has an example).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.runtimes.kernel_names import short
from pytest_perfgate.runtimes.onnxruntime_profile import operators

SGEMM = "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm>(Params)"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("void at::native::elementwise_kernel<128, 2>(int)", "at::native::elementwise_kernel"),
        (SGEMM, "cutlass::Kernel2"),
        ("Memcpy HtoD (Pinned -> Device)", "Memcpy"),
        ("sm90_xmma_fprop_implicit_gemm_f32", "sm90_xmma_fprop_implicit_gemm_f32"),
        ("_Z23implicit_convolve_sgemmI6__half", "_Z23implicit_convolve_sgemmI6__half"),
    ],
)
def test_a_kernel_is_called_by_its_short_name(name: str, words: str) -> None:
    """Without what templates put into it."""
    assert short(name) == words


def host(name: str, parent: Any = None, *kernels: tuple[str, float]) -> Any:
    """An event of the CPU that launched kernels, of these microseconds."""
    return SimpleNamespace(
        name=name,
        cpu_parent=parent,
        device_type=SimpleNamespace(name="CPU"),
        is_user_annotation=False,
        kernels=[SimpleNamespace(name=kernel, device=0, duration=took) for kernel, took in kernels],
    )


def device(name: str, took: float, *, annotation: bool = False) -> Any:
    """An event of the GPU."""
    return SimpleNamespace(
        name=name,
        device_type=SimpleNamespace(name="CUDA"),
        is_user_annotation=annotation,
        time_range=SimpleNamespace(elapsed_us=lambda: took),
    )


def test_kernels_of_torch_stand_at_the_layer_that_launched_them() -> None:
    """Two inferences: one convolution launches two kernels; a graph's have no layer."""
    torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    from pytest_perfgate.runtimes.torch_profile import kernels

    layers = dict(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)).named_modules())
    events = []
    for _ in range(2):
        model = host("perfgate layer: ")
        conv = host("perfgate layer: 0", model)
        run = host("aten::conv2d", conv)
        inner = host("aten::cudnn_convolution", run, (SGEMM, 30.0), ("Memset (Device)", 1.0))
        events += [model, conv, run, inner, device(SGEMM, 30.0), device("Memset (Device)", 1.0)]
        events += [device("replayed_kernel(int)", 5.0), device("a range", 99.0, annotation=True)]
    rows = {
        (row.name, row.kind): (row.calls, round(row.seconds * 1e6, 6))
        for row in kernels(events, layers, 2)
    }
    assert rows == {
        ("0", "cutlass::Kernel2"): (1.0, 30.0),
        ("0", "Memset"): (1.0, 1.0),
        ("replayed_kernel", "replayed_kernel"): (1.0, 5.0),
    }


def node(at: int, name: str, kind: str, took: int) -> dict[str, Any]:
    """A node's event in ONNX Runtime's JSON, microseconds."""
    args = {"op_name": kind}
    return {"cat": "Node", "ts": at, "dur": took, "name": f"{name}_kernel_time", "args": args}


def kernel(at: int, name: str, kind: str, took: int) -> dict[str, Any]:
    """A kernel's."""
    args = {"op_name": kind, "stream": "13", "block_x": "256", "grid_x": "1"}
    return {"cat": "Kernel", "ts": at, "dur": took, "name": name, "args": args}


def test_kernels_of_onnx_runtime_stand_at_their_node() -> None:
    """The host's time of a node is that of launching, and no row; a warm-up does not count."""
    run = {"cat": "Session", "name": "model_run", "dur": 900, "args": {}}
    events = [
        {**run, "ts": 0},
        node(1, "conv1", "Conv", 7),
        kernel(2, "warm", "Conv", 100),
        {**run, "ts": 1000},
        node(1001, "conv1", "Conv", 7),
        kernel(1003, SGEMM, "Conv", 40),
        node(1010, "conv2", "Conv", 6),
        kernel(1012, SGEMM, "Conv", 50),
        kernel(1013, "void copy<float>()", "Conv", 2),
    ]
    rows = {(row.name, row.kind): row.seconds for row in operators(events, 1)}
    assert rows == {
        ("conv1", "cutlass::Kernel2"): pytest.approx(40e-6),
        ("conv2", "cutlass::Kernel2"): pytest.approx(50e-6),
        ("conv2", "copy"): pytest.approx(2e-6),
    }
    of_the_host = [event for event in events if event["cat"] != "Kernel"]
    assert {(row.name, row.kind) for row in operators(of_the_host, 1)} == {
        ("conv1", "Conv"),
        ("conv2", "Conv"),
    }
