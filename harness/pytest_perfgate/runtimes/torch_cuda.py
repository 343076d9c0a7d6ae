"""PyTorch on an NVIDIA GPU: the device is opened here, in the process that runs on it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.runtimes import DEVICE_UUID, OpenContext
from pytest_perfgate.runtimes.cuda import too_old
from pytest_perfgate.runtimes.torch_session import TorchSession

if TYPE_CHECKING:
    pass

_SHAPES = 4  # whose graphs are kept: a sample's, a batch's, and some of parity's
_WARM = 3  # inferences before a capture, on a stream of their own: torch asks for some


@dataclass
class _Graph:
    """A captured inference of some shapes: what it reads and writes, and how to replay it."""

    entries: tuple[Any, ...]
    outputs: Any
    graph: Any


class CudaSession(TorchSession):
    """A module on the current device of CUDA, its work between two events.

    Raises:
        RuntimeFault: there is no device to run on, or something of the model is elsewhere.
    """

    _kind = "cuda"

    def __init__(
        self, module: Any, options: Any, context: OpenContext, *, exported: bool = False
    ) -> None:
        import torch

        cuda: Any = torch.cuda  # of which torch has few types
        cudnn: Any = torch.backends.cudnn
        if not torch.cuda.is_available():
            old = too_old(f"torch {torch.__version__}", torch.version.cuda)
            if old:
                raise RuntimeFault(
                    old, next_step="update the driver, or install a torch of the driver's CUDA"
                )
            raise RuntimeFault(
                f"torch {torch.__version__} sees no GPU",
                next_step="nvidia-smi, and python -c 'import torch; torch.cuda.init()' show why",
            )
        self._device = torch.device("cuda", torch.cuda.current_device())
        torch.backends.cuda.matmul.allow_tf32 = options.tf32
        cudnn.allow_tf32 = options.tf32
        torch.cuda.reset_peak_memory_stats(self._device)
        self._capture = options.cuda_graph
        self._keeps_casts = not options.cuda_graph  # a capture must not outlive what it reads
        self._graphs: OrderedDict[tuple[tuple[int, ...], ...], _Graph] = OrderedDict()
        self._start = cuda.Event(enable_timing=True)
        self._end = cuda.Event(enable_timing=True)
        self._ran = False
        self._flushed: Any = None
        super().__init__(module, options, context, exported=exported)
        properties = torch.cuda.get_device_properties(self._device)
        self._l2 = int(properties.L2_cache_size)
        self.facts |= {
            "device": properties.name,
            DEVICE_UUID: str(properties.uuid),
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": cudnn.version(),
            "tf32": options.tf32,
            "compile_mode": options.compile_mode if options.compile else "none",
            "cuda_graph": options.cuda_graph,
        }

    def device_seconds(self) -> float:
        """Seconds of the last inference on the device, between events around the network's own
        work; NaN before the first.
        """
        if not self._ran:
            return math.nan
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end)) / 1e3

    def peak_device_memory(self) -> int:
        """The most that torch's allocator has reserved, in bytes."""
        return int(self._torch.cuda.max_memory_reserved(self._device))

    def flush_cache(self) -> bool:
        """Write twice the size of the device's L2 cache, and wait for it."""
        if self._flushed is None:
            size = 2 * max(self._l2, 1 << 20)
            self._flushed = self._torch.empty(size, dtype=self._torch.int8, device=self._device)
        self._flushed.zero_()
        self._torch.cuda.synchronize(self._device)
        return True

    def close(self) -> None:
        """Lets module and graphs go."""
        super().close()
        self._graphs.clear()
        self._flushed = None

    def _place(self, module: Any, options: Any) -> Any:  # noqa: ARG002 - see TorchSession
        module = module.to(self._device)
        prove_device([*module.parameters(), *module.buffers()], self._device, "a weight")
        return module

    def _moved(self, x: Any) -> Any:
        return x.to(self._device)

    def _forward(self, tensors: tuple[Any, ...]) -> Any:
        if not self._capture:
            self._start.record()
            outputs = self._module(*tensors)
            self._end.record()
        else:
            captured = self._captured(tensors)
            for entry, x in zip(captured.entries, tensors, strict=True):
                entry.copy_(x)
            self._start.record()
            captured.graph.replay()
            self._end.record()
            outputs = captured.outputs
        self._ran = True
        return outputs

    def _host(self, output: Any) -> Any:
        prove_device([output], self._device, "an output")
        return super()._host(output.cpu())

    def _captured(self, tensors: tuple[Any, ...]) -> _Graph:
        """The graph of these shapes, captured when it is new.

        Raises:
            RuntimeFault: the model cannot be captured.
        """
        torch, shape = self._torch, tuple(tuple(x.shape) for x in tensors)
        captured = self._graphs.get(shape)
        if captured is None:
            while len(self._graphs) >= _SHAPES:
                self._graphs.popitem(last=False)
            entries, stream = tuple(x.clone() for x in tensors), torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARM):
                    self._module(*entries)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph):
                    outputs = self._module(*entries)
            except RuntimeError as error:
                raise RuntimeFault(
                    f"the model cannot be captured as a CUDA graph: {error}",
                    next_step="set cuda_graph = false",
                ) from error
            captured = self._graphs[shape] = _Graph(entries, outputs, graph)
            self.facts["graphs_captured"] = len(self._graphs)
        self._graphs.move_to_end(shape)
        return captured


def prove_device(tensors: Iterable[Any], device: Any, what: str) -> None:
    """Nothing, when all of them are on the device.

    Raises:
        RuntimeFault: one is not: part of the work is done elsewhere.
    """
    for tensor in tensors:
        if tensor.device != device:
            raise RuntimeFault(
                f"the device {device} was requested, but {what} of the model is on {tensor.device}",
                next_step="create tensors in the model on the device of its input",
            )
