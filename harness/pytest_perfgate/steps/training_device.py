"""Where a training runs: on the device that its options name, proven at its first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_perfgate.errors import BuildError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.runtimes.torch import WITH_CUDA

CPU, CUDA = "cpu", "cuda"


def requirements(device: str) -> tuple[Requirement, ...]:
    """What a training on this device needs besides torch: without a GPU it is skipped."""
    return () if device == CPU else (WITH_CUDA, GPU)


def place(value: Any, device: str) -> Any:
    """A tensor, or tensors in tuples, lists and dicts, on the device."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: place(item, device) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(place(item, device) for item in value)
    return value


def prove(state: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Facts of a training whose parameters, those of modules and of optimizers, are all on the
    device; the bytes that its allocator holds for them, for `cuda`.

    Args:
        state: what the trainer gave to `course.steps`, by name.
        device: "cpu" or "cuda".

    Raises:
        BuildError: a parameter is elsewhere, none is known, or the allocator holds less.
    """
    count, size = 0, 0
    for name, holder in state.items():
        for parameter in _parameters(holder):
            if parameter.device.type != device:
                raise BuildError(
                    f"the training names the device {device}, and {name} has a parameter on "
                    f"{parameter.device}",
                    where="suite.trainer",
                    next_step="build optimizers and copies from the trainer's argument `module`, "
                    "and do not move it",
                )
        if hasattr(holder, "parameters"):
            count += sum(parameter.numel() for parameter in _parameters(holder))
            size += sum(
                parameter.numel() * parameter.element_size() for parameter in _parameters(holder)
            )
    facts: dict[str, Any] = {"device": device, "device_parameters": count}
    if device == CUDA and not count:
        raise BuildError(
            "the training is to run on cuda, but none of its parameters is there",
            where="suite.trainer",
            next_step="give the module to the course: `course.steps(steps, module=module, …)`",
        )
    if device == CUDA:
        facts |= _allocated(size)
    return facts


def _parameters(holder: Any) -> list[Any]:
    if hasattr(holder, "param_groups"):
        return [parameter for group in holder.param_groups for parameter in group["params"]]
    return list(holder.parameters()) if hasattr(holder, "parameters") else []


def _allocated(size: int) -> dict[str, Any]:
    """The device's name, and the bytes of its allocator.

    Raises:
        BuildError: they are fewer than the parameters have.
    """
    import torch

    held = int(torch.cuda.memory_allocated())
    if held < size:
        raise BuildError(
            f"parameters of {size} bytes are on the GPU, and its allocator holds {held}",
            where="suite.trainer",
        )
    return {"gpu": torch.cuda.get_device_name(), "device_bytes_at_start": held}


def peak(device: str) -> dict[str, Any]:
    """The most bytes that the allocator held, for `cuda`."""
    if device != CUDA:
        return {}
    import torch

    return {"device_bytes_peak": int(torch.cuda.max_memory_allocated())}
