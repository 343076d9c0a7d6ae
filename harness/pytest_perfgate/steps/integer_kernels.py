"""What runtimes on this CPU run of an ONNX file as integers: read from the graphs that they run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.runtimes.onnxruntime_graph import nodes_of

_INTEGER = frozenset(
    {
        *("QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat"),
        *("QGemm", "DynamicQuantizeMatMul"),
    }
)
_FLOAT = frozenset(
    {
        *("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose"),
        *("Gemm", "FusedGemm", "MatMul", "FusedMatMul"),
    }
)
_EIGHT_BITS = frozenset({"u8", "i8"})


def kernel_counts(path: Path, threads: int) -> dict[str, dict[str, int]]:
    """Convolutions, linear layers and products of matrices by runtime: those that it runs as
    integers (`integer_kernels`), and the others (`float_kernels`).

    Of ONNX Runtime, and of OpenVINO where it is installed and its CPU plugin says that
    it has 8-bit kernels for this CPU.
    """
    counts = {"onnxruntime": _in_onnxruntime(path, threads)}
    if not registry.from_extra("openvino", "openvino").missing:
        inside = _in_openvino(path, threads)
        if inside is not None:
            counts["openvino"] = inside
    return {
        "integer_kernels": {runtime: integers for runtime, (integers, _) in counts.items()},
        "float_kernels": {runtime: floats for runtime, (_, floats) in counts.items()},
    }


def _in_onnxruntime(path: Path, threads: int) -> tuple[int, int]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3

    def opened(options: Any) -> Any:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    nodes = nodes_of(opened, options)
    counts = Counter[str]()
    for kind, count in nodes.items():
        counts[kind.rpartition(".")[2]] += count  # layouts have domains: nchwc.Conv
    return sum(counts[kind] for kind in _INTEGER), sum(counts[kind] for kind in _FLOAT)


def _in_openvino(path: Path, threads: int) -> tuple[int, int] | None:
    """None where the plugin has no 8-bit kernels."""
    import openvino

    from pytest_perfgate.runtimes.openvino import executed

    core = openvino.Core()
    if "INT8" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    model = core.read_model(str(path))
    counts = executed(core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads}))
    integers = sum(counts[kind] for kind in _EIGHT_BITS)
    return integers, counts.total() - integers
