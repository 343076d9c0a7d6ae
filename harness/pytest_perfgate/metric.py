"""Metrics: what is measured, in which unit, which way is better, and how two values compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pytest_perfgate.units import Unit


class Better(StrEnum):
    """Which direction of a metric is the good one."""

    LOWER = "lower"
    HIGHER = "higher"


class Rule(StrEnum):
    """Where the uncertainty of a metric comes from, and so how it is judged."""

    LAUNCHES = "launches"  # one value per launch; the launches are the sample
    IMAGES = "images"  # one set of predictions; the images are the sample
    EXACT = "exact"  # no uncertainty: the same artifact always gives the same value
    ONCE = "once"  # one observation, and nothing that says how far off another would be
    STRETCHES = "stretches"  # one long run; its stretches are the sample


@dataclass(frozen=True)
class Metric:
    """One thing that is measured.

    Attributes:
        name: as written in a budget.
        unit: the dimension; values are kept in its base unit.
        better: the good direction.
        rule: where its uncertainty comes from.
        relative: two values compare as a ratio (time, memory); else as a difference (scores).
        optional: some data have no such value, and that is no error until a budget asks for it.
        beside: it compares with the reference's own predictions, so the reference has none.
        apart: recipes may differ in what one value is of, so that none compares with a reference's.
        device: it is of the device alone: what the host's cores do does not move it.
        leading: it stands for its workload's speed where there is room for one number.
        meaning: what the value includes, in one or two sentences; shown in docs and report.
    """

    name: str
    unit: Unit
    better: Better
    rule: Rule
    relative: bool
    meaning: str
    beside: bool = False
    optional: bool = False
    device: bool = False
    leading: bool = False
    apart: bool = False

    @property
    def alone(self) -> bool:
        """Whether nothing is compared with it: no reference's value, no stored one."""
        return self.rule in {Rule.ONCE, Rule.STRETCHES}


def _time(name: str, meaning: str, *, device: bool = False, leading: bool = False) -> Metric:
    return Metric(
        name,
        Unit.SECONDS,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        meaning,
        device=device,
        leading=leading,
    )


def _once(name: str, meaning: str) -> Metric:
    once = f"{meaning} {_ONCE}"
    return Metric(name, Unit.SECONDS, Better.LOWER, Rule.ONCE, True, once)


_ONCE = (
    "Observed once, beside other recipes' builds, and remembered with the cache: it has no "
    "interval, and takes no limit but max."
)

_TURNS = (
    "One image at a time, the recipe's threads, after warm-up; arms that are compared take turns "
    "at every inference."
)

PARITY = "parity"
MEMORY_GROWTH = "memory_growth"

_ALL = (
    _time(
        "latency_p50",
        "Median time of one image from decoded pixels to final result: pre-process, inference and "
        f"post-process. {_TURNS}",
        leading=True,
    ),
    _time(
        "latency_p95",
        "95th percentile of the time of one image from decoded pixels to final result: "
        f"pre-process, inference and post-process. {_TURNS}",
    ),
    _time("preprocess_p50", f"Median time from decoded pixels to the network's input. {_TURNS}"),
    _time(
        "inference_p50",
        "Median time from the network's input to its output arrays, both in host memory. " + _TURNS,
    ),
    _time(
        "inference_p95",
        "95th percentile of the time from the network's input to its output arrays, both in host "
        f"memory. {_TURNS}",
    ),
    _time(
        "postprocess_p50",
        f"Median time from the network's output arrays to the final result. {_TURNS}",
    ),
    Metric(
        "throughput",
        Unit.IMAGES_PER_SECOND,
        Better.HIGHER,
        Rule.LAUNCHES,
        True,
        "Images per second through pre-process, inference and post-process in batches of the "
        "suite's `batch`, the recipe's threads, one process.",
    ),
    Metric(
        "peak_memory",
        Unit.BYTES,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Highest resident memory of the arm's process while it loads the artifact, warms up and "
        "runs all timed work, less what was resident when the arm was forked with the frameworks "
        "already imported. A high-water mark: it shows that a peak was reached, not how often.",
    ),
    Metric(
        "artifact_size",
        Unit.BYTES,
        Better.LOWER,
        Rule.EXACT,
        True,
        "Bytes of the files that a deployment needs to load the recipe's artifact.",
    ),
    _time(
        "load_time",
        "Time from the artifact on disk (in the page cache) to a session ready for its first "
        "inference; framework import and warm-up are not included.",
    ),
    _time(
        "device_time_p50",
        "Median time on the device from the network's input there to its outputs there, between "
        "two events of the device around the network's own work: copies to and from the host, and "
        f"what the host does, are outside. {_TURNS} Not measured where the runtime has no device "
        "or does not tell it.",
        device=True,
    ),
    Metric(
        "device_memory",
        Unit.BYTES,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Highest memory of the arm's process on the device, as NVML tells it: artifact, warm-up "
        "and all timed work, with what CUDA takes for itself. Where NVML tells of no process (in "
        "many containers), the highest that the runtime's allocator held.",
        device=True,
    ),
    Metric(
        "energy",
        Unit.JOULES,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Energy of the device per inference of one image: the difference of its counter over at "
        "least a second of inferences one after the other, divided by their number. What the "
        "device uses when idle, for as long as an inference takes, is included; the host is not.",
        device=True,
    ),
    Metric(
        PARITY,
        Unit.SCORE,
        Better.LOWER,
        Rule.EXACT,
        True,
        "Largest difference of an output to the reference's, relative to the largest value of "
        "either, or of the reference on the suite's images where that is larger, over inputs drawn "
        "by hypothesis: batch sizes, resolutions that both take, constant, gradient and noise "
        "images of all value ranges, validation images. The inputs are always the same ones. 2 "
        "when the recipe raises, or gives something that is not finite or of another shape. "
        "Measured when a budget asks for it.",
        beside=True,
        optional=True,
    ),
    Metric(
        MEMORY_GROWTH,
        Unit.BYTES,
        Better.LOWER,
        Rule.STRETCHES,
        False,
        "Anonymous memory that the recipe's process gains in 1,000 images, pre-process and "
        "post-process included: 3,000 images, one at a time, or as many as a minute has, of which "
        "the first quarter is warm-up and the rest is cut into 20 stretches. What grows once and "
        "stays is within the noise; a leak is in most stretches. Measured when a budget asks for "
        "it, and takes no limit but max.",
        optional=True,
    ),
    _once(
        "load_time_cold",
        "Time from the artifact on disk to the outputs of the first inference of one image, with "
        "the runtime's caches empty: what is compiled at the first inference is included; the "
        "import of the runtime's framework, and what the recipe's steps have loaded into the same "
        "process before, are not.",
    ),
    _once(
        "build_time",
        "Time that the recipe's steps took when they were built, added up from the model on, none "
        "of it from the cache; imports that a step was the first to need are included. Zero for a "
        "recipe without steps.",
    ),
)

PERFORMANCE: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""The metrics of every task; a task adds its metrics of accuracy."""

OF_EVERY_WORKLOAD = frozenset(
    {"peak_memory", "artifact_size", "load_time", "device_memory", "load_time_cold", "build_time"}
)
"""Performance metrics that do not depend on what an arm does in its turn."""

OF_IMAGES = frozenset(PERFORMANCE) - OF_EVERY_WORKLOAD
"""Performance metrics of images through the model, one at a time or in batches."""


def leading(metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """Names of those that stand for a workload's speed."""
    return tuple(name for name, metric in metrics.items() if metric.leading)
