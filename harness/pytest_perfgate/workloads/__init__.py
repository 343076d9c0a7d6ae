"""Workloads: the work of an arm's turn, one kind per file, registered by entry point.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import NoOptions, OptionsModel
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.launch import RateRun
from pytest_perfgate.records.recipe import StepSpec
from pytest_perfgate.registry import Requirement

if TYPE_CHECKING:
    from pytest_perfgate.runtimes import InferenceSession
    from pytest_perfgate.tasks import Pipeline
    from pytest_perfgate.workloads.output_check import OutputCheck

IMAGES, FRAMES = "images", "frames"
"""The default workloads: images through the model one at a time; of a task of sequences, frames in
order."""


@dataclass(frozen=True)
class WorkContext:
    """Session, data and functions for a workload, in the arm's process.

    Attributes:
        session: opens the recipe's artifact on its runtime.
        module: the recipe's artifact as a torch module, for a workload that takes no runtime.
        pipeline: the stages around inference.
        images: some decoded validation images, uint8 (H, W, 3) each, to cycle through; of a task of
            sequences the first frames of some sequences, in order, `check.length` of each.
        data: a split's data, by its name or by an import path.
        trainer: imports the suite's trainer.
        batch: the suite's images in a batch.
        threads: threads that the arm may use, at each of its places (`workloads.placement`).
        gpu: whether the recipe's runtime needs an NVIDIA GPU.
        endpoint: whether its sessions send their inputs to a server.
        flush: for a session, a function to call before every sample, outside its time; or None.
        grown: `grown()` starts to watch the memory of the calling process, for work in other
            processes; the function that it gives returns the peak growth in resident bytes since.
        silence: seconds without an answer after which an arm counts as hung.
        check: gives turns their images and compares their outputs with the evaluated ones; None: a
            workload that wants one makes its own, which knows no evaluated outputs.
    """

    session: Callable[[], InferenceSession]
    module: Callable[[], Any]
    pipeline: Pipeline
    images: Sequence[Any]
    data: Callable[[str], Any]
    trainer: Callable[[], Callable[..., Any]]
    batch: int
    threads: int
    flush: Callable[[InferenceSession], Callable[[], object] | None]
    gpu: bool = False
    endpoint: bool = False
    grown: Callable[[], Callable[[], int | None]] = lambda: lambda: None
    silence: float = 300.0
    check: OutputCheck | None = None


class Work(ABC):
    """An opened workload, ready for its turns. See `Workload` for an example.

    Attributes:
        facts: what really runs; plain JSON data.
        columns: the workload's columns, each as often as a sample has values of it. Default: None,
            every column once.
        processes: ids of the processes that work for it, besides the arm's own. Default: none.
        session: the session whose allocator `peak_device_memory` reads. Default: none.
        unmeasured: why metrics of its own have no value, by their names: the reason, then "; " and
            what to do. Read at the end of a launch. Default: none.
        repeated: runs that were repeated, and why the last of them was. Read at the end of a
            launch. Default: none.
        rates: runs of a search for the highest rate. Read at the end of a launch. Default: none.
        paired: requests of a turn whose times are compared with those of other arms one by one;
            see `latencies`. Default: 0, it has no such turns.
    """

    facts: dict[str, Any]
    columns: Sequence[str] | None = None
    processes: Sequence[int] = ()
    session: InferenceSession | None = None
    unmeasured: Mapping[str, str] = MappingProxyType({})
    repeated: tuple[int, str] = (0, "")
    rates: Sequence[RateRun] = ()
    paired: int = 0

    @abstractmethod
    def sample(self, number: int) -> Sequence[float]:
        """One turn: a value for each of `columns`; NaN: not measured.

        Args:
            number: chooses the images; it is the same for the turns of compared arms.
        """

    def latencies(self, number: int) -> Sequence[float]:
        """Seconds of each of `paired` requests, whose times and inputs follow from the number
        alone; empty: they were not measured. Default: empty.
        """
        return ()

    def batch(self) -> float:
        """Seconds of a batch of `WorkContext.batch` images, all stages. Default: NaN."""
        return math.nan

    def inferences(self, seconds: float) -> tuple[float, float]:
        """Run inferences of one image for `seconds`: the time that passed in seconds, and the
        number of inferences. Default: NaN and 0, not measured.
        """
        return math.nan, 0.0

    def peak_memory(self) -> int | None:
        """Peak resident memory of `processes`, in bytes; None: unknown. Default: 0."""
        return 0

    def peak_device_memory(self) -> int | None:
        """Peak memory of the allocator on the device, in bytes; None: unknown. Default: that of
        `session`.
        """
        return None if self.session is None else self.session.peak_device_memory()


class Workload(registry.Extension, ABC):
    """A kind of work that a recipe is measured by.

    Example:
        The workload `burst`: a turn is a few images one directly after the other.

            import time

            from pydantic import Field
            from pytest_perfgate.artifact import OptionsModel
            from pytest_perfgate.metric import Metric, by_name
            from pytest_perfgate.workloads import Work, Workload


            class Burst(Workload):
                name = "burst"
                columns = ("burst_time",)
                metrics = by_name(
                    Metric.seconds(
                        "burst_time_p50", "Median time of a burst of images.", headline=True
                    )
                )
                goal = "burst_time_p50"

                class Options(OptionsModel):
                    images: int = Field(4, ge=1, description="images in a burst")

                def open(self, options, context):
                    return BurstWork(options, context)


            class BurstWork(Work):
                def __init__(self, options, context):
                    self._count, self._images = options.images, context.images
                    self._pipeline, self.session = context.pipeline, context.session()
                    self.facts = self.session.facts

                def sample(self, number):
                    start = time.perf_counter()
                    for index in range(number, number + self._count):
                        image = self._images[index % len(self._images)]
                        inputs, meta = self._pipeline.preprocess([image])
                        self._pipeline.postprocess(self.session.run(inputs), meta)
                    return (time.perf_counter() - start,)

    Attributes:
        name: as written in a suite file.
        columns: names of a sample's values. A time `x` has the metrics `x_p50`, `x_p95` and
            `x_p99`; the metric of any other column has the column's name and is its median.
        Options: its options, checked before any work starts; `devices` among them is the number of
            places that it works at. Default: none.
        metrics: its own metrics by name, each of one of its columns. Default: none.
        measures: names of performance metrics that it measures besides those of every workload
            (`pytest_perfgate.metric.OF_EVERY_WORKLOAD`). Default: none.
        goal: the metric that a search improves unless the recipe names another. Default: "", the
            recipe must name one.
        accepts: kinds of artifact that it takes. Default: None, any.
        orders: what it can be given: images in any order (False), frames of sequences in order
            (True). Default: images in any order alone.
        runs: timed turns of a launch, where each is a run that has its own warm-up and all the
            samples that its values need, such as many requests: more launches say more then than
            more turns. Default: 0, as many as the session's rounds.
        requires: packages that it imports. Default: none.
        preload: as a runtime's.
    """

    group = registry.WORKLOADS
    needed = ("name", "columns")

    name: str
    columns: tuple[str, ...]
    metrics: Mapping[str, Metric] = MappingProxyType({})
    measures: frozenset[str] = frozenset()
    goal: str = ""
    accepts: frozenset[str] | None = None
    orders: frozenset[bool] = frozenset({False})
    runs: int = 0
    requires: tuple[Requirement, ...] = ()
    preload: tuple[str, ...] = ()

    Options: type[OptionsModel] = NoOptions

    @abstractmethod
    def open(self, options: Any, context: WorkContext) -> Work:
        """The work, loaded.

        Raises:
            RuntimeFault: this machine cannot do it.
        """

    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """Packages that it imports with these options. Default: `requires`."""
        return self.requires

    def adds(self, options: Any) -> tuple[StepSpec, ...]:
        """Steps at the end of the recipe's chain, so that accuracy is that of the work's result.
        Default: none.
        """
        return ()
