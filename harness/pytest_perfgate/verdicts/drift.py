"""What a machine gained or lost between two sessions, by the yardstick that a metric goes through.

Pure functions over records and stored values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_perfgate.baselines.baseline import StoredMetric
from pytest_perfgate.baselines.correction import Corrects, corrected_by
from pytest_perfgate.metric import PERFORMANCE, Metric
from pytest_perfgate.records.launch_values import launch_values, level, log_value
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.yardsticks import device_values, yardstick_values
from pytest_perfgate.runtimes import uuids_of
from pytest_perfgate.units import Unit, show_percent
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.log_values import exp, mean_log

_DEVICE_TIME = PERFORMANCE["device_time_p50"]


@dataclass(frozen=True)
class Drift:
    """How a metric is corrected.

    Attributes:
        by: whose yardstick corrects it, or would.
        sign: how the metric moves when that takes longer: times with it, rates against it.
        now, then: that yardstick's seconds by launch, and beside each stored launch; empty: it
            corrects nothing here, `why` says why.
        cores: log ratio of the cores' yardstick, of a metric that the GPU's corrects; None: not
            known.
        share: of the metric's time that is not the device's work; None: not known.
    """

    by: Corrects
    sign: int = 0
    now: Mapping[int, float] = field(default_factory=dict)
    then: Sequence[float] = ()
    why: str = ""
    cores: float | None = None
    share: float | None = None

    @property
    def corrects(self) -> bool:
        """Whether there is a yardstick on both sides."""
        return bool(self.now and self.then)

    @property
    def moved(self) -> float:
        """Log ratio of its time now to its time then; 0 where it corrects nothing."""
        if not self.corrects:
            return 0.0
        return mean_log(list(self.now.values())) - mean_log(list(self.then))

    @property
    def weight(self) -> float:
        """The share of the metric's time that the yardstick corrects, with the sign."""
        return self.sign * (1.0 if self.share is None else 1.0 - self.share)

    @property
    def host_doubt(self) -> float:
        """What the cores' drift may have moved, on the scale of logarithms."""
        return abs(self.share * self.cores) if self.share and self.cores else 0.0

    @property
    def note(self) -> str:
        """What decided, for people."""
        if not self.corrects:
            return self.why
        change = show_percent(exp(self.moved) - 1)
        if self.by is Corrects.CORES:
            return f"the machine's drift since then, {change}, removed"
        text = f"the GPU's drift since then, {change} by its own yardstick, removed"
        if self.share is None:
            return text
        text += f" from the {1 - self.share:.0%} of the time that are the device's work"
        if self.host_doubt:
            cores = show_percent(exp(self.cores or 0.0) - 1)
            text += f"; the cores' drift, {cores}, widens the bounds"
        return text


def drift(metric: Metric, evidence: Evidence, stored: StoredMetric) -> Drift:
    """How a metric of two sessions is corrected."""
    record = evidence.record
    by = corrected_by(metric, record)
    sign = -1 if metric.unit is Unit.IMAGES_PER_SECOND else 1
    indices = launch_values(record, metric).keys()
    cores = yardstick_values(evidence.yardstick, stored.pieces)
    if by is Corrects.NONE:
        return Drift(by, why=_uncorrected(metric, record))
    if by is Corrects.CORES:
        why = ""
        if not stored.yardstick:
            why = "the baseline has no yardstick, so the machine's drift is not removed"
        elif not indices <= cores.keys():
            why = (
                f"this session has no yardstick of the baseline's length ({stored.pieces} "
                "pieces), so the machine's drift is not removed"
            )
        return _drift(by, sign, indices, cores, stored.yardstick, stored, why)
    gpu = device_values(evidence.device_yardsticks, uuids_of(record.runtime_facts))
    side = "the baseline" if not stored.device_yardstick else "this session"
    why = (
        f"the recipe runs on a GPU, and {side} has no yardstick of it; that of the cores does not "
        "measure a GPU, so that the machine's drift is not removed: absolute times decide"
    )
    result = _drift(by, sign, indices, gpu, stored.device_yardstick, stored, why)
    if not result.corrects or metric.device_only:
        return result
    known = cores and stored.yardstick
    moved = mean_log(list(cores.values())) - mean_log(list(stored.yardstick)) if known else None
    return Drift(by, sign, result.now, result.then, cores=moved, share=_host_share(record))


def _drift(
    by: Corrects,
    sign: int,
    indices: Collection[int],
    now: Mapping[int, float],
    then: Sequence[float],
    stored: StoredMetric,
    why: str,
) -> Drift:
    if len(then) != len(stored.launches) or not all(index in now for index in indices):
        return Drift(by, sign, why=why)
    return Drift(by, sign, {index: now[index] for index in sorted(indices)}, then)


def corrected(
    metric: Metric, record: RecipeRecord, stored: StoredMetric, removed: Drift
) -> tuple[list[float], list[float]]:
    """Log values of this session's launches and of the stored ones, each through its yardstick."""
    values = launch_values(record, metric)
    now = [log_value(values[index]) for index in sorted(values)]
    then = list(map(log_value, stored.launches))
    if not removed.corrects:
        return now, then
    here = [log_value(removed.now[index]) for index in sorted(values)]
    there = list(map(log_value, removed.then))
    return (
        [value - removed.weight * yard for value, yard in zip(now, here, strict=True)],
        [value - removed.weight * yard for value, yard in zip(then, there, strict=True)],
    )


def _uncorrected(metric: Metric, record: RecipeRecord) -> str:
    """Why nothing corrects a time, "" of what is no time."""
    if metric.unit is not Unit.SECONDS or not uuids_of(record.runtime_facts):
        return ""
    return "loading has no yardstick, so the machine's drift is not removed: absolute times decide"


def _host_share(record: RecipeRecord) -> float | None:
    """The share of an image's time in which the device does not work; None: not measured."""
    device = level(record, _DEVICE_TIME)
    whole = level(record, PERFORMANCE["latency_p50"])
    return max(0.0, 1 - device / whole) if device and whole else None
