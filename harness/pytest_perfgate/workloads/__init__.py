"""Workloads: what an arm does in its turn, in a file of its own each, found by entry point.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.recipe import StepSpec
from pytest_perfgate.registry import Requirement

if TYPE_CHECKING:
    from pytest_perfgate.artifact import OptionsModel
    from pytest_perfgate.runtimes import InferenceSession
    from pytest_perfgate.tasks import Pipeline

IMAGES = "images"
"""The workload of a recipe that names none: images through the model, one at a time."""


@dataclass(frozen=True)
class WorkContext:
    """What a workload may work with, in the arm's process.

    Attributes:
        session: opens the recipe's artifact on its runtime.
        module: the recipe's artifact as a torch module, for a workload that takes no runtime.
        pipeline: the stages around inference.
        images: some decoded validation images, uint8 (H, W, 3) each, to cycle through.
        data: a split's data, by its name or by an import path.
        trainer: imports the suite's trainer.
        batch: the suite's images in a batch.
        threads: threads that the arm may use, at each of its places (`workloads.placement`).
        gpu: whether the recipe's runtime needs an NVIDIA GPU.
        flush: for a session, what is done before every sample outside of its time, or None.
        grown: watches the memory of the process that calls it, for work in other processes; what
            it gives tells the most bytes that became resident since.
        silence: seconds without an answer after which an arm counts as hung.
    """

    session: Callable[[], InferenceSession]
    module: Callable[[], Any]
    pipeline: Pipeline
    images: Sequence[Any]
    data: Callable[[str], Any]
    trainer: Callable[[], Callable[..., Any]]
    batch: int
    threads: int
    flush: Callable[[InferenceSession], Callable[[], None] | None]
    gpu: bool = False
    grown: Callable[[], Callable[[], int | None]] = lambda: lambda: None
    silence: float = 300.0


class Work(Protocol):
    """An opened workload, ready for its turns.

    Attributes:
        facts: what it says of itself, as really used; plain JSON data.
    """

    facts: dict[str, Any]

    # Work on a device may have more, asked for where it is there:
    #   peak_device_memory() -> int | None     the most that its allocator held, in bytes
    # Work in other processes has:
    #   processes: Sequence[int]               their ids
    #   peak_memory() -> int | None            what became resident in them at the most
    # Work with several values of a column in a turn has:
    #   columns: Sequence[str]                 the workload's, each as often as it has values

    def sample(self, number: int) -> Sequence[float]:
        """One turn: a value for each of the workload's `columns`; NaN: not measured.

        `number` is the same for the turns of arms that are compared: it says which images.
        """
        ...


@runtime_checkable
class Batches(Protocol):
    """What work has besides, when it can run a whole batch."""

    def batch(self) -> float:
        """Seconds of a batch of `WorkContext.batch` images, all stages."""
        ...


@runtime_checkable
class Infers(Protocol):
    """What work has besides, when inferences alone can be counted."""

    def inferences(self, seconds: float) -> tuple[float, float]:
        """Runs inferences of one image for so long: seconds, and how many they were."""
        ...


class Workload(Protocol):
    """A kind of work that a recipe is measured by.

    Attributes:
        name: as written in a suite file.
        Options: its options, checked before any work starts; `devices` among them is how many
            places it works at.
        columns: what a sample's values are, by name. Of a time `x`, metrics `x_p50`, `x_p95`
            and `x_p99` may be had; of anything else, the metric of the same name is the median.
        metrics: its own metrics, by name, each of one of its columns.
        goal: the metric that a search makes as good as it can, unless it is told another.
        measures: names of the performance metrics that it measures besides those of every
            workload, see `pytest_perfgate.metric.OF_EVERY_WORKLOAD`.
        accepts: kinds of artifact; None for any.
        requires: packages it imports.
        preload: as a runtime's.
    """

    name: str
    Options: type[OptionsModel]
    columns: tuple[str, ...]
    metrics: Mapping[str, Metric]
    measures: frozenset[str]
    goal: str
    accepts: frozenset[str] | None
    requires: tuple[Requirement, ...]
    preload: tuple[str, ...]

    def adds(self, options: Any) -> tuple[StepSpec, ...]:
        """Steps that end the recipe's chain, so that accuracy is of what the work leads to."""
        ...

    def open(self, options: Any, context: WorkContext) -> Work:
        """The work, loaded.

        Raises:
            RuntimeFault: it cannot be done here.
        """
        ...
