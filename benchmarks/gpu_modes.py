"""The models and modes that `benchmarks.gpu` measures, and triton's time of the same work."""

from __future__ import annotations

from typing import Any

MODELS: dict[str, tuple[str, int]] = {
    "resnet50": ("suites.gpu.classifier.resnet:build", 224),
    "digits": ("suites.digits.model:build", 320),
}
"""Name to an import path and the side of its input."""

MODES: dict[str, tuple[str, dict[str, Any], str]] = {
    "fp32": ("", {}, ""),
    "tf32": ("", {"tf32": True}, "cuda"),
    "fp16": ("float16", {}, "cuda"),
    "bf16": ("bfloat16", {}, ""),
    "channels-last": ("channels_last", {}, ""),
    "compiled": ("", {"compile": True}, ""),
    "CUDA graph": ("", {"cuda_graph": True}, "cuda"),
}
"""Name to what is done to the module, the options of the runtime torch, and the device it is of."""


def module_of(model: str) -> Any:
    """The torch module of a name in `MODELS`, in float32 on the CPU."""
    from pytest_perfgate.registry import resolve

    return resolve(MODELS[model][0], "model")()


def changed(module: Any, change: str) -> Any:
    """The module in another layout or type, as `MODES` names it; "" leaves it."""
    import torch

    if change == "channels_last":
        return module.to(memory_format=torch.channels_last)
    return module.to(getattr(torch, change)) if change else module


def do_bench(model: str, mode: str, batch: Any) -> float | None:
    """Median seconds by triton of the module on `batch`, float32 (N, 3, H, W), which is on the
    device before; placed by plain torch, without a runtime of the project. None for a graph: only
    the runtime captures one.
    """
    change, options, _ = MODES[mode]
    if "cuda_graph" in options:
        return None
    import torch
    from triton import testing

    tf32 = bool(options.get("tf32"))
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    module, x = changed(module_of(model), change).cuda(), torch.from_numpy(batch).cuda()
    if change == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    elif change:
        x = x.to(getattr(torch, change))
    network: Any = torch.compile(module) if options.get("compile") else module
    with torch.inference_mode():
        milliseconds = testing.do_bench(
            lambda: network(x), warmup=200, rep=500, return_mode="median"
        )
    return float(milliseconds) / 1e3
