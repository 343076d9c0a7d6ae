"""Metrics: name, unit, good direction, source of uncertainty, and how two values compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypedDict, Unpack

from pytest_perfgate.units import Unit

FOLDS = "folds"
OVER_FOLDS = f"@{FOLDS}"
"""The end of the name of a score over folds: `map@folds`."""


class Better(StrEnum):
    """The good direction of a metric."""

    LOWER = "lower"
    HIGHER = "higher"


class Rule(StrEnum):
    """The source of a metric's uncertainty, which decides how it is judged."""

    LAUNCHES = "launches"  # one value per launch; the launches are the sample
    IMAGES = "images"  # one set of predictions; the images are the sample
    EXACT = "exact"  # no uncertainty: the same artifact always gives the same value
    ONCE = "once"  # one observation, and nothing that says how far off another would be
    STRETCHES = "stretches"  # one long run; its stretches are the sample
    FOLDS = "folds"  # models without a part of the data, tested on it; the folds are the sample


class Flags(TypedDict, total=False):
    """The flags of a `Metric`, for its constructors."""

    against_reference: bool
    optional: bool
    device_only: bool
    headline: bool
    incomparable_across_recipes: bool
    by_class: bool
    by_image: bool


class Over(StrEnum):
    """The images that a score at a scope is over."""

    SET = "set"  # those of one further validation set
    ALL = "all"  # the validation images and each set; a limit holds for each of them
    WORST = "worst"  # of the validation images and all sets those with the worst score
    SLICES = "slices"  # each slice of a set; a limit holds for each of them


ALL_SETS, WORST_SET = Over.ALL.value, Over.WORST.value

AT = "@"
"""Between the name of a score and that of its scope: `map@night`."""


@dataclass(frozen=True)
class Scope:
    """Images that a suite names besides all of its validation images: a set, or slices of one.

    Attributes:
        name: as written after the `@` of a metric: "night", "all", "worst", "camera".
        over: which images these are.
        sliced: of slices, the name of their set; "" for the validation images.
    """

    name: str
    over: Over = Over.SET
    sliced: str = ""


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    Attributes:
        name: as written in a budget.
        unit: the dimension; values are kept in its base unit.
        better: the good direction.
        rule: the source of its uncertainty.
        relative: two values compare as a ratio (time, memory); else as a difference (scores).
        meaning: what the value includes, in one or two sentences; shown in docs and report.
        against_reference: it compares with the reference's own predictions; the reference has no
            value.
        optional: data without a value are no error, unless a budget asks for the metric.
        device_only: it depends on the device alone; load on the host's cores does not change it.
        headline: it stands for its workload's speed where there is room for one number.
        incomparable_across_recipes: recipes may differ in the amount of work behind one value, so
            a value is never compared with the reference's.
        by_class: it is a mean over classes, each of which may have a budget.
        by_image: it is a ratio of sums over images, so that it is known of some of them alone.
        scope: the images that it is over; None for all validation images.
    """

    name: str
    unit: Unit
    better: Better
    rule: Rule
    relative: bool
    meaning: str
    against_reference: bool = False
    optional: bool = False
    device_only: bool = False
    headline: bool = False
    incomparable_across_recipes: bool = False
    by_class: bool = False
    by_image: bool = False
    scope: Scope | None = None

    def at(self, scope: Scope) -> Metric:
        """The same score over the images of a scope: `map@night`."""
        meaning = f"{self.meaning} Here: {_IMAGES_OF[scope.over].format(scope.name)}."
        return replace(self, name=f"{self.name}{AT}{scope.name}", meaning=meaning, scope=scope)

    @property
    def score_name(self) -> str:
        """Its name in an evaluation, without the scope."""
        return self.name if self.scope is None else self.name.removesuffix(f"{AT}{self.scope.name}")

    @property
    def over(self) -> Over | None:
        """The images that it is over; None for all validation images."""
        return None if self.scope is None else self.scope.over

    @property
    def of_set(self) -> str:
        """The set whose evaluation has it, "" for the validation images; see `Accuracy.on`."""
        return self.scope.name if self.scope is not None and self.scope.over is Over.SET else ""

    @property
    def sliceable(self) -> bool:
        """Whether an evaluation tells its value for some of the images alone."""
        return self.by_class or self.by_image or self.against_reference

    @property
    def alone(self) -> bool:
        """Whether it is compared with nothing: no reference's value, no stored one."""
        return self.rule in {Rule.ONCE, Rule.STRETCHES, Rule.FOLDS}

    @property
    def over_folds(self) -> Metric:
        """A score of predictions as the mean over the folds of a recipe."""
        return Metric(
            f"{self.name}{OVER_FOLDS}",
            self.unit,
            self.better,
            Rule.FOLDS,
            self.relative,
            f"{self.meaning} The mean over the folds of a recipe, each a model of its own that is "
            "tested on the training images that it was not trained with.",
            optional=True,
        )

    @classmethod
    def seconds(cls, name: str, meaning: str, **flags: Unpack[Flags]) -> Metric:
        """A time: lower is better, one value per launch, compared as a ratio."""
        return cls(name, Unit.SECONDS, Better.LOWER, Rule.LAUNCHES, True, meaning, **flags)

    @classmethod
    def rate(cls, name: str, meaning: str, **flags: Unpack[Flags]) -> Metric:
        """Images per second: higher is better, one value per launch, compared as a ratio."""
        unit = Unit.IMAGES_PER_SECOND
        return cls(name, unit, Better.HIGHER, Rule.LAUNCHES, True, meaning, **flags)

    @classmethod
    def score(
        cls, name: str, meaning: str, better: Better = Better.HIGHER, **flags: Unpack[Flags]
    ) -> Metric:
        """A score of predictions: the images are the sample, compared as a difference."""
        return cls(name, Unit.SCORE, better, Rule.IMAGES, False, meaning, **flags)


_IMAGES_OF = {
    Over.SET: "over the images of the set {}",
    Over.ALL: "over the validation images and over each set, one by one",
    Over.WORST: "over the validation images, or over the set whose score is worse",
    Over.SLICES: "over each slice by {}",
}


def by_name(*metrics: Metric) -> Mapping[str, Metric]:
    """Metrics by their names, read-only."""
    return MappingProxyType({metric.name: metric for metric in metrics})


def _once(name: str, meaning: str) -> Metric:
    once = f"{meaning} {_ONCE}"
    return Metric(name, Unit.SECONDS, Better.LOWER, Rule.ONCE, True, once)


_ONCE = (
    "Observed once, while other recipes may build, and kept in the cache: the value has no "
    "interval, and `max` is its only limit."
)

_TURNS = (
    "One image at a time, with the recipe's threads, after warm-up; compared arms take turns at "
    "every inference."
)

PARITY = "parity"
MEMORY_GROWTH = "memory_growth"
TAIL = "latency_tail"
MULTIPLY_ADDS, PARAMETERS, NODES = "multiply_adds", "parameters", "nodes"
ALLOCATIONS, ALLOCATED_BYTES = "allocations", "allocated_bytes"
PAGE_FAULTS, INSTRUCTIONS = "page_faults", "instructions"


def _count(name: str, meaning: str, unit: Unit = Unit.COUNT, **flags: Unpack[Flags]) -> Metric:
    return Metric(name, unit, Better.LOWER, Rule.EXACT, True, meaning, **flags)


_ALL = (
    Metric.seconds(
        "latency_p50",
        "Median time of one image from decoded pixels to final result: pre-process, inference and "
        f"post-process. {_TURNS}",
        headline=True,
    ),
    Metric.seconds(
        "latency_p95",
        "95th percentile of the time of one image from decoded pixels to final result: "
        f"pre-process, inference and post-process. {_TURNS}",
    ),
    Metric.seconds(
        "latency_p99",
        "99th percentile of the time of one image from decoded pixels to final result. A launch "
        "has a few dozen images, so that this is close to the slowest of them: one slow image in "
        f"twenty shows here, and in latency_p95 by chance only. {_TURNS}",
    ),
    Metric.seconds(
        TAIL,
        "Mean time of the slowest twentieth of a launch's images, from decoded pixels to final "
        "result. Beside the base it is compared image by image: `regression` is broken when more "
        "than one image in thirty takes longer by more than the limit, beyond what noise does to "
        f"both versions. {_TURNS}",
    ),
    Metric.seconds(
        "preprocess_p50", f"Median time from decoded pixels to the network's input. {_TURNS}"
    ),
    Metric.seconds(
        "inference_p50",
        "Median time from the network's input to its output arrays, both in host memory. " + _TURNS,
    ),
    Metric.seconds(
        "inference_p95",
        "95th percentile of the time from the network's input to its output arrays, both in host "
        f"memory. {_TURNS}",
    ),
    Metric.seconds(
        "postprocess_p50",
        f"Median time from the network's output arrays to the final result. {_TURNS}",
    ),
    Metric.rate(
        "throughput",
        "Images per second through pre-process, inference and post-process in batches of the "
        "suite's `batch`, with the recipe's threads, in one process. Images with inputs of one "
        "size share an inference.",
    ),
    Metric(
        "peak_memory",
        Unit.BYTES,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Peak resident memory of a process that loads the artifact and runs a few turns and a "
        "batch, minus the resident memory at its fork, after the frameworks' imports, and without "
        "shared libraries. A peak shows that a size was reached, not how often. Behind an "
        "endpoint: the sum of the peaks of the processes of the server that the session started.",
    ),
    Metric(
        "artifact_size",
        Unit.BYTES,
        Better.LOWER,
        Rule.EXACT,
        True,
        "Size of the files that a deployment needs to load the recipe's artifact.",
    ),
    Metric.seconds(
        "load_time",
        "Time from the artifact on disk (in the page cache) to a session ready for its first "
        "inference; framework import and warm-up are not included.",
    ),
    Metric.seconds(
        "device_time_p50",
        "Median time on the device from the network's input there to its outputs there, between "
        "two events of the device around the network's own work: copies to and from the host, and "
        f"work of the host, are not included. {_TURNS} Not measured where the runtime has no "
        "device, or reports no device time.",
        device_only=True,
    ),
    Metric(
        "device_memory",
        Unit.BYTES,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Peak memory of the arm's process on the device, as NVML reports it: artifact, warm-up and "
        "all timed work, with CUDA's own share. Where NVML reports no processes (in many "
        "containers), the peak of the runtime's allocator.",
        device_only=True,
    ),
    Metric(
        "energy",
        Unit.JOULES,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Energy of the device per inference of one image: the increase of its counter over at "
        "least a second of consecutive inferences, divided by their number. The device's idle "
        "power is included; the host is not.",
        device_only=True,
    ),
    Metric(
        PARITY,
        Unit.SCORE,
        Better.LOWER,
        Rule.EXACT,
        True,
        "Largest difference between an output and the reference's, relative to the largest value "
        "of either (or of the reference on the suite's images, if that is larger), over inputs "
        "drawn by hypothesis: batch sizes, resolutions that both accept, constant, gradient and "
        "noise images of all value ranges, validation images. The inputs are the same in every "
        "session. 2 when the recipe raises, or an output is not finite or has another shape. "
        "Measured only when a budget asks for it.",
        against_reference=True,
        optional=True,
    ),
    Metric(
        MEMORY_GROWTH,
        Unit.BYTES,
        Better.LOWER,
        Rule.STRETCHES,
        False,
        "Growth of the recipe's process in anonymous memory per 1,000 images, pre-process and "
        "post-process included: over 3,000 images, one at a time, or over one minute. The first "
        "quarter is warm-up; the rest is cut into 20 stretches. A single step of growth is within "
        "the noise; a leak shows in most stretches. Measured only when a budget asks for it; `max` "
        "is its only limit.",
        optional=True,
    ),
    _count(
        MULTIPLY_ADDS,
        "Multiply-adds of an inference of one image, in convolutions and matrix products.",
    ),
    _count(PARAMETERS, "Numbers in the artifact's weights; indices and shapes are none."),
    _count(NODES, "Nodes of the graph that runs; a changed count names their kinds."),
    _count(
        ALLOCATIONS,
        "How often an inference asks the system for memory (malloc and its kin, `new`, mmap), "
        "where a budget asks for it.",
        optional=True,
    ),
    _count(ALLOCATED_BYTES, "Bytes of these allocations, added up.", Unit.BYTES, optional=True),
    _count(PAGE_FAULTS, "Page faults of an inference that need no disk (getrusage's `ru_minflt`)."),
    _count(
        INSTRUCTIONS,
        "Instructions of an inference outside the kernel, where it offers hardware counters.",
        optional=True,
    ),
    _once(
        "load_time_cold",
        "Time from the artifact on disk to the outputs of the first inference of one image, with "
        "empty caches of the runtime. Compilation at the first inference is included; the import "
        "of the runtime's framework, and modules that the recipe's steps loaded before, are not.",
    ),
    _once(
        "build_time",
        "Total time of the recipe's steps when they were built, without the cache; a step's first "
        "imports are included. Zero for a recipe without steps.",
    ),
)

PERFORMANCE: Mapping[str, Metric] = by_name(*_ALL)
"""The metrics of every task; a task adds its metrics of accuracy."""

_OF_GRAPH = frozenset({MULTIPLY_ADDS, PARAMETERS, NODES})
COUNTED = _OF_GRAPH | {ALLOCATIONS, ALLOCATED_BYTES, PAGE_FAULTS, INSTRUCTIONS}
"""Metrics of an inference that are counted, not timed: the same in every session of one code."""

OF_EVERY_WORKLOAD = COUNTED | {
    *("peak_memory", "artifact_size", "load_time", "device_memory", "load_time_cold", "build_time")
}
"""Performance metrics of every workload: they do not depend on the work of a turn."""

OF_IMAGES = frozenset(PERFORMANCE) - OF_EVERY_WORKLOAD
"""Performance metrics of images through the model, one at a time or in batches."""


def headlines(metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """Names of the metrics that stand for a workload's speed."""
    return tuple(name for name, metric in metrics.items() if metric.headline)
