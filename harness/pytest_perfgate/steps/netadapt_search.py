"""What a layer's channels are worth: latency that they cost, measured, and how far the outputs move
without them.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.distil_loss import distance
from pytest_perfgate.steps.onnx_export import write_onnx
from pytest_perfgate.steps.output_check import tensors
from pytest_perfgate.steps.prune_graph import Removal, dependencies, named_layers, output_layers

TORCH, ONNXRUNTIME = "torch", "onnxruntime"
_WARM_UP = 2  # runs before times count
_OPSET = 20
_NOISE = 0.003  # share of a latency: less is no gain


class Stopwatch:
    """Latencies relative to that of one module, of one image in one runtime.

    Both run in turns and the fastest run of each counts, as in Python's `timeit`: whatever else the
    machine does only adds time.
    """

    def __init__(
        self, module: Any, inputs: Inputs, runtime: str, threads: int, turns: int, folder: Path
    ) -> None:
        self._inputs, self._runtime, self._threads = inputs, runtime, threads
        self._turns, self._folder = turns, folder
        self._whole = self._runner(module)
        self.seconds = self._fastest(self._whole)[0]

    def share(self, module: Any) -> float:
        """The latency of a module as a share of the first one's."""
        whole, ours = self._fastest(self._whole, self._runner(module))
        return ours / whole

    def _fastest(self, *runners: Callable[[], object]) -> list[float]:
        times: list[list[float]] = [[] for _ in runners]
        for turn in range(_WARM_UP + self._turns):
            for runner, own in zip(runners, times, strict=True):
                start = time.perf_counter()
                runner()
                if turn >= _WARM_UP:
                    own.append(time.perf_counter() - start)
        return [min(own) for own in times]

    def _runner(self, module: Any) -> Callable[[], object]:
        if self._runtime == TORCH:
            return self._in_torch(copy.deepcopy(module).eval())
        return self._in_onnxruntime(module)

    def _in_torch(self, module: Any) -> Callable[[], object]:
        import torch

        fed = tensors(self._inputs)

        def run() -> object:
            with torch.inference_mode():
                return module(*fed)

        return run

    def _in_onnxruntime(self, module: Any) -> Callable[[], object]:
        import onnxruntime

        file = self._folder / "timed.onnx"
        write_onnx(module.eval(), file, self._inputs, opset_version=_OPSET, batch=1)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
        file.unlink()
        names = [entry.name for entry in session.get_inputs()]
        fed = dict(zip(names, self._inputs.arrays, strict=True))
        return lambda: session.run(None, fed)


@dataclass(frozen=True)
class Candidate:
    """A removal of some channels of one layer, and what it brings.

    Attributes:
        layer: its name.
        channels: before and after.
        saved: latency, as a share of the whole model's before any removal.
        damage: `distil_loss.distance` of the outputs from those without the removal.
    """

    layer: str
    channels: tuple[int, int]
    saved: float
    damage: float

    @property
    def price(self) -> float:
        """Damage for each share of latency."""
        return self.damage / self.saved

    @property
    def gains(self) -> bool:
        """Whether latency falls by more than noise."""
        return self.saved > _NOISE


@dataclass(frozen=True)
class Search:
    """How channels are chosen, in one model.

    Attributes:
        example: the module's inputs, for one image.
        widths: channels of each layer before any removal, one for all layers that lose the same.
        options: of the step.
        stopwatch: measures latencies.
        images: yields the inputs that damage is measured on.
    """

    example: tuple[Any, ...]
    widths: dict[str, int]
    options: Any
    stopwatch: Stopwatch
    images: Callable[[], Iterable[Inputs]]

    def narrower(self, layer: str, channels: int) -> int:
        """The channels that a layer has after one more removal; as many where it may lose none."""
        options = self.options
        left = int(channels * (1 - options.step_share)) // options.round_to * options.round_to
        least = max(options.round_to, options.keep_share * self.widths[layer])
        return left if left >= least else channels

    def candidates(self, module: Any, share: float) -> tuple[list[Candidate], dict[str, str]]:
        """What one removal of each layer brings, of a module whose latency is that share of the
        first one's; and layers that cannot lose channels, with the reason.
        """
        candidates: list[Candidate] = []
        skipped: dict[str, str] = {}
        for layer in self.widths:
            channels = _width(module, layer)
            left = self.narrower(layer, channels)
            if left == channels:
                skipped[layer] = f"{channels} channels are its least"
                continue
            thinner = copy.deepcopy(module)
            try:
                self.remove(thinner, layer, channels - left)
                damage = distance(thinner.eval(), module.eval(), self.images())
                saved = share - self.stopwatch.share(thinner)
            except Exception as error:  # noqa: BLE001 - whatever a network's own code raises
                skipped[layer] = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
                continue
            candidates.append(Candidate(layer, (channels, left), saved, damage))
        return candidates, skipped

    def remove(self, module: Any, layer: str, count: int) -> Removal:
        """Takes the channels of least norm out of a layer, and what depends on them."""
        import torch_pruning

        graph, target = dependencies(module, self.example), module.get_submodule(layer)
        function = graph.get_pruner_of_module(target).prune_out_channels
        whole = graph.get_pruning_group(target, function, list(range(_width(module, layer))))
        norms = torch_pruning.importance.GroupMagnitudeImportance(p=self.options.p)(whole)
        indices = sorted(int(index) for index in norms.argsort()[:count])
        group = graph.get_pruning_group(target, function, indices)
        if not graph.check_pruning_group(group):
            raise BuildError(f"the layer {layer!r} would lose all of its channels")
        group.prune()
        return layer, True, tuple(indices)


def widths_of(module: Any, example: tuple[Any, ...], ignored: Sequence[str]) -> dict[str, int]:
    """The channels of each layer that may lose some, one for all layers that lose the same ones."""
    import torch

    graph = dependencies(module, example)
    kept = output_layers(module, example) | named_layers(module, tuple(ignored))
    names = {layer: name for name, layer in module.named_modules()}
    groups = graph.get_all_groups(
        ignored_layers=list(kept), root_module_types=[torch.nn.Conv2d, torch.nn.Linear]
    )
    layers = [group[0].dep.target.module for group in groups]
    return {names[layer]: int(graph.get_out_channels(layer)) for layer in layers}


def _width(module: Any, layer: str) -> int:
    """The channels of a convolution or a linear layer."""
    return int(module.get_submodule(layer).weight.shape[0])
