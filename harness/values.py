"""One value per launch and metric, read from a record: what the rules of a verdict work on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.metric import Metric, Rule
from harness.record import Launch, RecipeRecord


def launch_value(launch: Launch, metric: str) -> float | None:
    """The value of one metric in one launch, in the metric's base unit; None: not measured.

    Times are the launch's median or 95th percentile (linear between order statistics).
    """
    stages = {
        "latency": launch.latency,
        "preprocess": launch.preprocess,
        "inference": launch.inference,
        "postprocess": launch.postprocess,
    }
    stage, _, statistic = metric.rpartition("_")
    if stage in stages and statistic in {"p50", "p95"}:
        samples = stages[stage]
        return _quantile(samples, int(statistic[1:]) / 100) if samples else None
    if metric == "throughput":
        if not launch.batches or not launch.batch_size:
            return None
        return launch.batch_size / _quantile(launch.batches, 0.5)
    if metric == "peak_memory":
        return None if launch.peak_memory is None else float(launch.peak_memory)
    if metric == "load_time":
        return launch.load_time
    return None


def _quantile(samples: Sequence[float], q: float) -> float:
    """As `harness.stats.quantile.quantile`, for the few samples of a launch without an array."""
    ordered = sorted(samples)
    at = (len(ordered) - 1) * q
    left = int(at)
    right = min(left + 1, len(ordered) - 1)
    return ordered[left] + (at - left) * (ordered[right] - ordered[left])


def launch_values(record: RecipeRecord, metric: Metric) -> dict[int, float]:
    """Launch number to value, for the launches in which the metric was measured."""
    found = {}
    for launch in record.launches:
        value = launch_value(launch, metric.name)
        if value is not None and math.isfinite(value) and value >= 0:
            found[launch.index] = value
    return found


def yardstick_values(launches: Sequence[Launch]) -> dict[int, float]:
    """Launch number to the yardstick's median time, seconds."""
    found = {}
    for launch in launches:
        value = launch_value(launch, "inference_p50")
        if value:
            found[launch.index] = value
    return found


def level(record: RecipeRecord, metric: Metric) -> float | None:
    """The value of one metric over the whole session: the geometric mean over launches, the
    evaluator's value, or the artifact's size; None when it was not measured.
    """
    if metric.rule is Rule.IMAGES:
        return record.accuracy.values.get(metric.name) if record.accuracy else None
    if metric.name == "artifact_size":
        return float(record.artifact.size) if record.artifact else None
    values = list(launch_values(record, metric).values())
    return geometric_mean(values) if values else None


def geometric_mean(values: Sequence[float]) -> float:
    """Exp of the mean of logs; 0 when any value is 0."""
    if min(values) <= 0:
        return 0.0
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))
