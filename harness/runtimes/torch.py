"""PyTorch on the CPU, eager or compiled, with proof that the compiled code is what runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness import registry
from harness.artifact import EXPORTED, TORCH, Artifact, OptionsModel, dtype_of
from harness.errors import RuntimeFault
from harness.operators import Operator
from harness.registry import Requirement
from harness.runtimes import OpenContext, torch_profile

if TYPE_CHECKING:
    import numpy as np


class Torch:
    """The runtime `torch`."""

    name = "torch"
    accepts = frozenset({TORCH, EXPORTED})
    requires: tuple[Requirement, ...] = (registry.from_extra("torch", "torch"),)
    preload: tuple[str, ...] = ("numpy", "torch")

    class Options(OptionsModel):
        """Options of torch."""

        threads: int | None = Field(None, ge=1, description="intra-op threads; default: suite's")
        compile: bool = Field(
            False, description="run torch.compile's code instead of eager; eager is an error then"
        )
        autocast: Literal["bfloat16", "float16"] | None = Field(
            None, description="the type that torch.autocast computes in; default: no autocast"
        )

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> TorchSession:
        """A session on the live module, or on the exported program in the project's cache."""
        exported = artifact.kind == EXPORTED
        module = _program(artifact.path) if exported else artifact.module
        return TorchSession(module, options, context, exported=exported)


class TorchSession:
    """A module in eval mode, called without gradients.

    Code is compiled at the first inference of its kind, and what autocast does is seen there, so
    that the facts about both are there after it.
    """

    def __init__(
        self, module: Any, options: Any, context: OpenContext, *, exported: bool = False
    ) -> None:
        import torch

        threads = options.threads or context.threads
        torch.set_num_threads(threads)
        self._torch = torch
        self._dtype = dtype_of(module)
        self._channels_last = any(
            parameter.dim() == 4
            and parameter.shape[1] > 1
            and parameter.is_contiguous(memory_format=torch.channels_last)
            and not parameter.is_contiguous()
            for parameter in module.parameters()
        )
        first = next(module.parameters(), None)
        self.facts: dict[str, Any] = {
            "device": "cpu" if first is None else str(first.device),
            "dtype": "none" if self._dtype is None else str(self._dtype).removeprefix("torch."),
            "layout": "channels_last" if self._channels_last else "contiguous",
            "compiled": bool(options.compile),
            "threads": torch.get_num_threads(),
            "version": torch.__version__,
        }
        self._autocast = options.autocast
        self._layers = module  # until autocast was seen to work
        self._compiled = (
            _Compiled(module, context.folder, freezing=exported) if options.compile else None
        )
        self._module = self._compiled or module

    def run(self, batch: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        """See `harness.runtimes.InferenceSession`."""
        torch = self._torch
        autocast = (
            torch.autocast("cpu", dtype=getattr(torch, self._autocast))
            if self._autocast
            else contextlib.nullcontext()
        )
        with torch.inference_mode(), autocast:
            x = torch.from_numpy(batch)
            if self._dtype is not None and self._dtype != x.dtype:
                x = x.to(self._dtype)
            if self._channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            if self._autocast and "autocast" not in self.facts:
                self.facts |= _cast_layers(self._layers, x, self._autocast)
            outputs = self._module(x)
        if self._compiled is not None:
            self.facts |= self._compiled.facts
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        if not isinstance(outputs, (tuple, list)):
            raise RuntimeFault(
                f"the model returned {type(outputs).__name__}", valid="a tensor or a tuple of them"
            )
        return tuple(
            (output.float() if output.is_floating_point() else output).numpy() for output in outputs
        )

    profiler = torch_profile.PROFILER

    def profile(self, batch: np.ndarray[Any, Any], count: int) -> list[Operator]:
        """See `harness.runtimes.Profiles`. Compiled code has no layers: its rows are operations."""
        layers = None if self._compiled is not None else self._module
        return torch_profile.profile(lambda: self.run(batch), count, layers)

    def close(self) -> None:
        """Lets the module go."""
        self._module = self._compiled = self._layers = None


def _cast_layers(module: Any, x: Any, dtype: str) -> dict[str, Any]:
    """One eager inference under autocast: in how many of the convolutions and linear layers it
    computes in the type that was asked for.

    Raises:
        RuntimeFault: in none.
    """
    import torch

    kinds = (torch.nn.modules.conv._ConvNd, torch.nn.Linear)
    layers = [each for each in module.modules() if isinstance(each, kinds)]
    cast: set[Any] = set()

    def hear(layer: Any, _inputs: Any, output: Any) -> None:
        if output.dtype == getattr(torch, dtype):
            cast.add(layer)

    hooks = [layer.register_forward_hook(hear) for layer in layers]
    try:
        module(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not cast:
        raise RuntimeFault(
            f"autocast to {dtype} was asked for, and none of {len(layers)} convolutions and linear "
            "layers computes in it",
            next_step="leave `autocast` out",
        )
    return {"autocast": dtype, "autocast_layers": len(cast), "layers": len(layers)}


class _Compiled:
    """A module under torch.compile. Each call of its code is counted: a call of the module in which
    none of it ran was eager, whatever the reason, and is a fault.

    `freezing` makes weights constants: Inductor finds 8-bit operators only then.
    """

    def __init__(self, module: Any, folder: Path, *, freezing: bool = False) -> None:
        import torch
        import torch._inductor.config as inductor_config
        from torch._dynamo.backends.registry import lookup_backend
        from torch._dynamo.utils import counters

        # Where compiled code is kept from one process to the next.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
        self._counters = counters
        self._breaks_before = sum(counters["graph_break"].values())
        self._graphs = self._calls = 0
        inductor = lookup_backend("inductor")

        def counting(graph: Any, inputs: Any) -> Any:
            code = inductor(graph, inputs)
            self._graphs += 1

            def run(*arguments: Any) -> Any:
                self._calls += 1
                return code(*arguments)

            return run

        self._module: Any = torch.compile(module, backend=counting)
        self._freezing = inductor_config.patch(freezing=True) if freezing else None
        self._shapes: set[tuple[int, ...]] = set()  # those that nothing is compiled for any more

    @property
    def facts(self) -> dict[str, Any]:
        """Graphs that were compiled so far, and the places at which tracing had to stop."""
        breaks = sum(self._counters["graph_break"].values()) - self._breaks_before
        return {"graphs": self._graphs, "graph_breaks": breaks}

    def __call__(self, x: Any) -> Any:
        """The module's outputs, by compiled code.

        Raises:
            RuntimeFault: none of it ran.
        """
        before = self._calls
        shape = tuple(x.shape)
        new = self._freezing is not None and shape not in self._shapes
        with self._freezing if new and self._freezing else contextlib.nullcontext():
            outputs = self._module(x)
        self._shapes.add(shape)
        if self._calls == before:
            raise RuntimeFault(
                "compile = true was asked for, and none of the model ran as compiled code",
                next_step="TORCH_LOGS=graph_breaks,recompiles says why; or leave `compile` out",
            )
        return outputs


def _program(path: Path | None) -> Any:
    """The module of an exported program.

    Such a file can carry code: `path` is always that of an artifact which this project's own steps
    wrote to its cache.

    Raises:
        RuntimeFault: it does not load.
    """
    import torch
    import torch.ao.quantization.fx._decomposed  # the operators of quantized programs

    if path is None:
        raise RuntimeFault("there is no exported program to run")
    try:
        return torch.export.load(path).module()
    except Exception as error:
        raise RuntimeFault(
            f"the exported program does not load: {type(error).__name__}: {error}", where=str(path)
        ) from error
