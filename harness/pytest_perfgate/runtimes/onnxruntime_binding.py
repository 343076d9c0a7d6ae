"""Inputs and outputs of ONNX Runtime bound to a device's memory, and CUDA graphs over them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_perfgate.runtimes.onnxruntime_stream import DeviceStream

_GROWS = 2  # runs of a batch size in which the session takes memory of the device
_SHAPES = 4  # batch sizes whose buffers are kept: a sample's, a batch's, and some of parity's


@dataclass
class _Bound:
    """The bindings of one batch size. `settings` are the run's own, with the graph's number."""

    binding: Any
    entries: dict[str, Any]
    outputs: list[Any]
    settings: Any
    runs: int = 0


class Binding:
    """Runs a session with its inputs and outputs in the memory of a device.

    An inference is a copy to the device, the session's work, and copies back. With `graph`, the
    outputs' memory is allocated once for each batch size, because a captured graph has its
    addresses inside: the first run of a size, which is not captured, tells how large they are.
    With a `stream`, on which the session works, that work is timed: the copies are outside.
    """

    def __init__(
        self,
        session: Any,
        *,
        device: str,
        number: int,
        graph: bool,
        stream: DeviceStream | None = None,
    ) -> None:
        self.device = device
        self._session = session
        self._number = number
        self._graph = graph
        self._stream = stream
        self._names = [output.name for output in session.get_outputs()]
        self._kept: OrderedDict[tuple[tuple[int, ...], ...], _Bound] = OrderedDict()
        self._captured = 0

    def run(self, fed: Mapping[str, Any]) -> list[Any]:
        """The outputs for arrays by the inputs' names, as arrays of the host that later runs do not
        change.
        """
        shapes = tuple(array.shape for array in fed.values())
        bound = self._kept.get(shapes)
        if self._stream is not None and (bound is None or bound.runs < _GROWS):
            with self._stream.growing():
                return self._run(shapes, fed)
        return self._run(shapes, fed)

    def _run(self, shapes: tuple[tuple[int, ...], ...], fed: Mapping[str, Any]) -> list[Any]:
        bound = self._kept.get(shapes)
        if bound is None:
            bound = self._kept[shapes] = self._bind(fed)
            # Captured graphs live as long as the session does, and so must what they write to.
            while not self._graph and len(self._kept) > _SHAPES:
                self._kept.popitem(last=False)
        for name, array in fed.items():
            bound.entries[name].update_inplace(array)
        bound.runs += 1
        if self._stream is None:
            self._session.run_with_iobinding(bound.binding, bound.settings)
        else:
            self._stream.run(
                lambda: self._session.run_with_iobinding(bound.binding, bound.settings)
            )
        bound.binding.synchronize_outputs()
        outputs = bound.outputs or bound.binding.get_outputs()
        # On a CPU the array is the buffer itself.
        return [output.numpy().copy() for output in outputs]

    def _bind(self, fed: Mapping[str, Any]) -> _Bound:
        from onnxruntime import OrtValue, RunOptions

        binding = self._session.io_binding()
        # On a CPU the value is the array's own memory, which later runs write to.
        entries = {
            name: OrtValue.ortvalue_from_numpy(array.copy(), self.device, self._number)
            for name, array in fed.items()
        }
        for name, entry in entries.items():
            binding.bind_ortvalue_input(name, entry)
        for output_name in self._names:
            binding.bind_output(output_name, self.device, self._number)
        settings = RunOptions()
        if self._stream is not None:
            # Else the run waits for the device before the event behind it is recorded.
            settings.add_run_config_entry("disable_synchronize_execution_providers", "1")
        bound = _Bound(binding, entries, [], settings)
        if not self._graph:
            return bound
        uncaptured = RunOptions()
        uncaptured.add_run_config_entry("gpu_graph_annotation_id", "-1")
        self._session.run_with_iobinding(binding, uncaptured)
        bound.outputs = [
            OrtValue.ortvalue_from_shape_and_type(
                output.shape(), output.numpy().dtype, self.device, self._number
            )
            for output in binding.get_outputs()
        ]
        for output_name, value in zip(self._names, bound.outputs, strict=True):
            binding.bind_ortvalue_output(output_name, value)
        self._captured += 1
        settings.add_run_config_entry("gpu_graph_annotation_id", str(self._captured))
        return bound
