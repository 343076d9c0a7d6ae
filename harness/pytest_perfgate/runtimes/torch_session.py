"""An open model of PyTorch on the CPU, eager or compiled; the GPU's derives from it."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.artifact import EXPORTED, Artifact, dtype_of
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.counts import Graph
from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes import (
    InferenceSession,
    OpenContext,
    torch_graph,
    torch_profile,
    torch_tensorrt,
)

if TYPE_CHECKING:
    import numpy as np


class TorchSession(InferenceSession):
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
        module = self._place(module, options)
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
        self._layers = module
        self._compiled = (
            _Compiled(module, context.folder, options, freezing=exported)
            if options.compile
            else None
        )
        self._module = self._compiled or module

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        torch = self._torch
        with torch.inference_mode(), self._casting():
            tensors = tuple(map(self._tensor, inputs.arrays))
            if self._autocast and "autocast" not in self.facts:
                self.facts |= _cast_layers(self._layers, tensors, self._autocast)
            outputs = self._forward(tensors)
        if self._compiled is not None:
            self.facts |= self._compiled.facts
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        if not isinstance(outputs, (tuple, list)):
            raise RuntimeFault(
                f"the model returned {type(outputs).__name__}", valid="a tensor or a tuple of them"
            )
        return tuple(self._host(output) for output in outputs)

    def _casting(self) -> Any:
        """A context in which autocast is at work, where it was asked for."""
        if not self._autocast:
            return contextlib.nullcontext()
        dtype = getattr(self._torch, self._autocast)
        return self._torch.autocast(self._kind, dtype=dtype, cache_enabled=self._keeps_casts)

    _kind = "cpu"
    _keeps_casts = True  # of the weights, by autocast, for as long as an inference takes

    def _place(self, module: Any, options: Any) -> Any:  # noqa: ARG002 - other devices ask for more
        """The module where it is to run."""
        return module

    def _tensor(self, array: np.ndarray[Any, Any]) -> Any:
        """An input where the module is, in its type and layout."""
        x = self._moved(self._torch.from_numpy(array))
        if self._dtype is not None and self._dtype != x.dtype and x.is_floating_point():
            x = x.to(self._dtype)
        if self._channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=self._torch.channels_last)
        return x

    def _moved(self, x: Any) -> Any:
        """A tensor of the host where the module is."""
        return x

    def _forward(self, tensors: tuple[Any, ...]) -> Any:
        return self._module(*tensors)

    def _host(self, output: Any) -> Any:
        return (output.float() if output.is_floating_point() else output).numpy()

    profiler = torch_profile.PROFILER

    def profile(self, inputs: Inputs, count: int) -> list[Operator]:
        """See `InferenceSession.profile`. Compiled code has no layers: a graph of it is one row,
        because torch.profiler does not see the kernels that Inductor writes for CPUs.
        """
        layers = None if self._compiled is not None else self._module
        return torch_profile.profile(lambda: self.run(inputs), count, layers)

    def graph(self, inputs: Inputs) -> Graph:
        """See `InferenceSession.graph`: one inference without the compiler."""
        tensors = tuple(map(self._tensor, inputs.arrays))

        def infer() -> None:
            with self._casting():
                self._layers(*tensors)

        nodes = None if self._compiled is None else self._compiled.nodes
        return torch_graph.graph_of(self._layers, infer, nodes)

    def close(self) -> None:
        """Lets the module go."""
        self._module = self._compiled = self._layers = None


def _cast_layers(module: Any, tensors: tuple[Any, ...], dtype: str) -> dict[str, Any]:
    """One eager inference under autocast: in how many of the convolutions and linear layers it
    computes in the type that was asked for.

    Raises:
        RuntimeFault: in none.
    """
    import torch

    kinds = (torch.nn.modules.conv._ConvNd, torch.nn.Linear)
    layers = [module for module in module.modules() if isinstance(module, kinds)]
    cast: set[Any] = set()

    def hear(layer: Any, _inputs: Any, output: Any) -> None:
        if output.dtype == getattr(torch, dtype):
            cast.add(layer)

    hooks = [layer.register_forward_hook(hear) for layer in layers]
    try:
        module(*tensors)
    finally:
        for hook in hooks:
            hook.remove()
    if not cast:
        raise RuntimeFault(
            f"autocast to {dtype} was requested, but none of {len(layers)} convolutions and "
            "linear layers computes in it",
            next_step="leave `autocast` out",
        )
    return {"autocast": dtype, "autocast_layers": len(cast), "layers": len(layers)}


class _Compiled:
    """A module under torch.compile. Each call of its code is counted: a call of the module in which
    none of it ran was eager, whatever the reason, and is a fault. `nodes` are those of all graphs
    so far, by kind.

    `freezing` makes weights constants: Inductor finds 8-bit operators only then.
    """

    def __init__(self, module: Any, folder: Path, options: Any, *, freezing: bool = False) -> None:
        import torch
        import torch._inductor.config as inductor_config
        from torch._dynamo.backends.registry import lookup_backend
        from torch._dynamo.utils import counters

        # Where compiled code is kept from one process to the next.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
        self._counters = counters
        self._breaks_before = sum(counters["graph_break"].values())
        self._graphs = self._calls = 0
        self.nodes: Counter[str] = Counter()
        inductor: Any = lookup_backend("inductor")  # typed without its keywords
        patches = torch._inductor.list_mode_options(options.compile_mode)
        self._marks = patches.get("triton.cudagraphs", False)
        self._engines: int | None = None
        self._has_engines = options.compile_backend == "tensorrt"
        compiler = torch_tensorrt.backend() if self._has_engines else None

        def counting(graph: Any, inputs: Any) -> Any:
            self.nodes.update(torch_graph.kinds_of(graph))
            if compiler is not None:
                code = compiler(graph, inputs)
            else:
                code = inductor(graph, inputs, config_patches=dict(patches))
            self._graphs += 1

            def run(*arguments: Any) -> Any:
                self._calls += 1
                return code(*arguments)

            return run

        self._module: Any = torch.compile(module, backend=counting)
        self._freezing = inductor_config.patch(freezing=True) if freezing else None
        self._shapes: set[tuple[tuple[int, ...], ...]] = (
            set()
        )  # those that nothing is compiled for any more

    @property
    def facts(self) -> dict[str, Any]:
        """Graphs that were compiled so far, and the places at which tracing had to stop."""
        breaks = sum(self._counters["graph_break"].values()) - self._breaks_before
        engines = {} if self._engines is None else {"engines_run": self._engines}
        return {"graphs": self._graphs, "graph_breaks": breaks, **engines}

    def __call__(self, *tensors: Any) -> Any:
        """The module's outputs, by compiled code.

        Raises:
            RuntimeFault: none of it ran.
        """
        import torch

        before = self._calls
        shape = tuple(tuple(x.shape) for x in tensors)
        if self._marks:  # the outputs before have been copied: their memory is free
            compiler: Any = torch.compiler  # of which torch has no types
            compiler.cudagraph_mark_step_begin()
        new = self._freezing is not None and shape not in self._shapes
        with self._freezing if new and self._freezing else contextlib.nullcontext():
            outputs = self._module(*tensors)
        self._shapes.add(shape)
        if self._calls == before:
            raise RuntimeFault(
                "compile = true is set, but no part of the model ran as compiled code",
                next_step="TORCH_LOGS=graph_breaks,recompiles says why; or leave `compile` out",
            )
        if self._has_engines and self._engines is None:
            self._engines = torch_tensorrt.engines_run(lambda: self._module(*tensors))
        return outputs


def load_file(artifact: Artifact) -> tuple[Any, int]:
    """The module of an exported program or of a TorchScript archive, and the batch that it is made
    for, 0 for any: TorchScript does not tell.

    Either can carry code: `artifact` is always one that this project's own steps wrote to its
    cache, or that its source has looked through (`sources.torch_program`, `sources.torchscript`).

    Raises:
        RuntimeFault: it does not load.
    """
    import torch
    import torch.ao.quantization.fx._decomposed  # the operators of quantized programs

    if artifact.path is None:
        raise RuntimeFault("there is no file to run")
    try:
        if artifact.kind == EXPORTED:
            program = torch.export.load(artifact.path)
            return program.module(), _batch_of(program)
        return torch.jit.load(artifact.path, map_location="cpu").eval(), 0  # type: ignore[no-untyped-call] # torch types only some of its own
    except Exception as error:
        raise RuntimeFault(
            f"torch does not load the file: {type(error).__name__}: {error}",
            where=str(artifact.path),
        ) from error


def _batch_of(program: Any) -> int:
    """The batch of a program's first input, 0 for any."""
    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in inputs:
            batch = node.meta["val"].shape[:1]
            return batch[0] if batch and isinstance(batch[0], int) else 0
    return 0
