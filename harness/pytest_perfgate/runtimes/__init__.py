"""Runtimes: a way to execute an artifact per file, registered by entry point.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import NoOptions, OptionsModel
from pytest_perfgate.registry import Requirement

if TYPE_CHECKING:
    from pytest_perfgate.artifact import Artifact
    from pytest_perfgate.inputs import Inputs
    from pytest_perfgate.records.counts import Graph
    from pytest_perfgate.records.profile import Operator


DEVICE_UUID = "device_uuid"
"""The fact with the GPU of a session, as NVML and CUDA name it; a list for work on several."""


DEVICE_TIME_PROBLEM = "device_time_problem"
"""The fact with why a session on a GPU tells neither time nor memory of its device, and what to do
about it; sessions that tell them have it not."""


def on_device(facts: Mapping[str, Any]) -> bool:
    """Whether a session with these facts runs on a GPU that NVML knows."""
    return bool(uuids_of(facts))


def uuids_of(facts: Mapping[str, Any]) -> list[str]:
    """The GPUs of a session with these facts."""
    uuids = facts.get(DEVICE_UUID) or []
    return [uuids] if isinstance(uuids, str) else [str(uuid) for uuid in uuids]


@dataclass(frozen=True)
class OpenContext:
    """Terms of a session: the `threads` that it may use, a `folder` for its caches."""

    threads: int
    folder: Path


class InferenceSession(ABC):
    """An opened artifact, ready to run.

    Example:
        A session around an ONNX file that tells the time of its only operator.

            import time

            from pytest_perfgate.records.profile import Operator
            from pytest_perfgate.runtimes import InferenceSession


            class ReferenceSession(InferenceSession):
                def __init__(self, path):
                    from onnx.reference import ReferenceEvaluator

                    self._evaluator = ReferenceEvaluator(str(path))
                    self.facts = {"device": "cpu", "threads": 1}

                def run(self, inputs):
                    (name,) = self._evaluator.input_names
                    images = inputs.only_images("the reference implementation")
                    return tuple(self._evaluator.run(None, {name: images}))

                profiler = "a stopwatch"

                def profile(self, inputs, count):
                    start = time.perf_counter()
                    for _ in range(count):
                        self.run(inputs)
                    seconds = (time.perf_counter() - start) / count
                    return [Operator(name="graph", kind="graph", calls=1, seconds=seconds)]

    Attributes:
        facts: what really runs, read back from the framework: provider or device, precision,
            threads, version. Plain JSON data; a session on a GPU has `DEVICE_UUID`, and sensors
            are read of the device of that name; where it tells no device time, it may say why in
            `DEVICE_TIME_PROBLEM`.
        profiler: the profiler's name, for people.
        fixed_batch: the batch that the artifact is made for; batches of another size are not
            measured. Default: 0, any batch.
    """

    facts: dict[str, Any]
    fixed_batch: int = 0
    profiler: str = "the runtime's profiler"

    @abstractmethod
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """The network's outputs for `inputs`, as numpy arrays in host memory that the next run does
        not overwrite.

        Raises:
            InputError: the network takes other inputs, see `Inputs.feed` and `Inputs.only_images`.
        """

    def close(self) -> None:
        """Free the session's memory and devices. Default: nothing."""
        return

    def profile(self, inputs: Inputs, count: int) -> list[Operator] | None:
        """The time of an inference of `inputs` by operators, over `count` inferences: a row per
        operator, `calls` and `seconds` per inference, each second in one row only. Default: None,
        the runtime has no profiler.
        """
        return None

    def graph(self, inputs: Inputs) -> Graph | None:
        """The graph that runs, and what an inference of `inputs` computes, counted: the same in
        every process. It is called behind an inference. Default: None, the runtime does not tell.
        """
        return None

    def device_seconds(self) -> float:
        """Seconds of the last run on the device, between two events around the network's own work.
        Default: NaN, not measured.
        """
        return math.nan

    def peak_device_memory(self) -> int | None:
        """Peak memory of the runtime's allocator on the device, in bytes. Default: None."""
        return None

    def peak_server_memory(self) -> int | None:
        """Peak resident memory of the server that the session started, in bytes. Default: None, it
        started none.
        """
        return None

    def flush_cache(self) -> bool:
        """Evict everything from the device's L2 cache, and wait for it. Default: False, there is
        no such cache.
        """
        return False


class Runtime(registry.Extension, ABC):
    """A way to execute an artifact.

    Example:
        The runtime `reference`: ONNX's own reference implementation, slow, and right by definition.

            from pytest_perfgate.registry import from_extra
            from pytest_perfgate.runtimes import InferenceSession, Runtime


            class Reference(Runtime):
                name = "reference"
                accepts = frozenset({"onnx"})
                requires = (from_extra("onnx", "onnx"),)
                preload = ("numpy", "onnx.reference")

                def open(self, artifact, options, context):
                    return ReferenceSession(artifact.path)


            class ReferenceSession(InferenceSession):
                def __init__(self, path):
                    from onnx.reference import ReferenceEvaluator

                    self._evaluator = ReferenceEvaluator(str(path))
                    self.facts = {"device": "cpu", "threads": 1}

                def run(self, inputs):
                    (name,) = self._evaluator.input_names
                    images = inputs.only_images("the reference implementation")
                    return tuple(self._evaluator.run(None, {name: images}))

    Attributes:
        name: as written in a suite file.
        accepts: kinds of artifact that it takes (`pytest_perfgate.artifact`).
        Options: its options, checked before any work starts. Default: none.
        requires: packages that it imports. `pytest_perfgate.runtimes.cuda.GPU` among them (or
            among those of `requires_with`) means an NVIDIA GPU: the workload `replicas` then gives
            each replica a GPU of its own, and checks the session's `DEVICE_UUID`. Default: none.
        preload: modules that the parent of a launch imports before it forks the arms; importing
            them must touch no device, and leave the process fit to be forked. Default: none.
        computes_as_onnxruntime: whether it is ONNX Runtime itself, whose outputs for an ONNX file
            those of every other runtime are compared with. Default: no.
        endpoint: whether a server infers, which may change from one session to the next: its
            evaluations are not kept. Its sessions derive from
            `pytest_perfgate.runtimes.endpoint.EndpointSession`. Default: no.
    """

    group = registry.RUNTIMES
    needed = ("name", "accepts")

    name: str
    accepts: frozenset[str]
    requires: tuple[Requirement, ...] = ()
    preload: tuple[str, ...] = ()
    computes_as_onnxruntime: bool = False
    endpoint: bool = False

    Options: type[OptionsModel] = NoOptions

    @abstractmethod
    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> InferenceSession:
        """A session on `artifact`.

        Raises:
            RuntimeFault: the artifact does not load, or the requested device is not used.
        """

    def check(self, options: Any) -> None:
        """Check options against what is installed, in the pytest process: nothing is imported.
        Default: nothing.

        Raises:
            RecipeError: what is installed has no such option.
        """
        return

    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """Packages that it imports with these options. Default: `requires`."""
        return self.requires

    def computes_in_16_bits(self, options: Any) -> bool:
        """Whether these options ask for 16-bit floating point. Default: no."""
        return False

    def optimizes_graph(self, options: Any) -> bool:
        """Where `computes_as_onnxruntime`: whether it rewrites a graph before it runs it, so that
        its outputs are compared with those of the graph as it is. Default: no.
        """
        return False

    def computes_artifact(self, options: Any) -> bool:
        """Whether its outputs are those of the artifact for any array, so that those for an ONNX
        file can be compared with ONNX Runtime's. Default: yes.
        """
        return True

    def alternatives(self, options: Any) -> Mapping[str, Any]:
        """Other options to try where outputs are not ONNX Runtime's, by what a suite file says for
        them: `{'engine = "classic"': Options(engine="classic")}`. Default: none.
        """
        return {}

    def advice(self, kind: str, codes: str) -> str:
        """What to set where an operator of an ONNX file gives other numbers than in ONNX Runtime,
        and no alternative helps. Default: nothing.

        Args:
            kind: of the operator ("AveragePool"), "" for an unknown one.
            codes: the type that its result is quantized to ("uint8"), "" for none.
        """
        return ""
