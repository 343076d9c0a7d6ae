"""What a regression against a stored baseline compares, with the machine's drift taken out."""

from __future__ import annotations

import math
import statistics
from datetime import datetime

from pytest_perfgate.baselines.baseline import StoredMetric
from pytest_perfgate.baselines.correction import Corrects
from pytest_perfgate.metric import NODES, Better, Metric, Rule
from pytest_perfgate.records.counts import Counts
from pytest_perfgate.records.launch_values import (
    equal_cycles,
    level,
)
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import Unit, show_percent
from pytest_perfgate.verdicts.drift import Drift, corrected, drift
from pytest_perfgate.verdicts.evidence import TWO_SESSIONS, Compared, Evidence, Risk
from pytest_perfgate.verdicts.limit_bounds import (
    CONTROL_MARGIN,
    LEAST_SD,
    beside_exact,
    difference_of_scores,
)
from pytest_perfgate.verdicts.log_values import exp, spread

TRANSFER_SD = 0.015
"""What still moves between two sessions on one machine after the yardstick has taken out the
machine's drift: standard deviation of the log ratio of two sessions' levels, beyond what the
launches show."""


TRANSFER_SHARE = 0.25
"""Drift that the yardstick saw is taken out, and this share of it is kept as doubt."""


def against_baseline(
    metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> Compared | None:
    """Value / stored (scores: value - stored), the machine's drift taken out; None: one of them was
    not measured.
    """
    baseline = evidence.baseline
    if baseline is None:
        return None
    origin = baseline.origin_of(metric.name)
    against = f"baseline of {origin.recorded[:10]} ({origin.age_days(now):.0f} days old)"
    if metric.rule is Rule.IMAGES:
        return difference_of_scores(metric, evidence.record, baseline.accuracy, risk, against)
    stored, value = baseline.metrics[metric.name], level(evidence.record, metric)
    if value is None:
        return None
    if metric.rule is Rule.EXACT:
        nodes = baseline.metrics.get(NODES)
        theirs = Counts(kinds=nodes.kinds, source=nodes.source) if nodes else None
        return beside_exact(metric, value, stored.value, against, evidence.record, theirs)
    if len(stored.launches) < 2:
        return None
    return _two_sessions(metric, evidence, stored, against, risk)


def _two_sessions(
    metric: Metric, evidence: Evidence, stored: StoredMetric, against: str, risk: Risk
) -> Compared:
    """The launches of this session beside the stored ones, each through its own yardstick."""
    from pytest_perfgate.stats import sequential

    removed = drift(metric, evidence, stored)
    now, then = corrected(metric, evidence.record, stored, removed)
    moves = metric.unit in {Unit.SECONDS, Unit.JOULES, Unit.IMAGES_PER_SECOND}
    doubt = (
        math.hypot(TRANSFER_SD, TRANSFER_SHARE * abs(removed.moved), removed.host_doubt)
        if moves
        else 0.0
    )
    bounds = {
        spending: sequential.two_sample_bounds(
            now, then, alpha, spending, transfer_sd=doubt, least_sd=LEAST_SD
        )
        for spending, alpha in ((sequential.BREAKING, risk.fail), (sequential.KEEPING, risk.keep))
    }
    estimate, fail_low, fail_high = bounds[sequential.BREAKING]
    _, keep_low, keep_high = bounds[sequential.KEEPING]
    stored_error = (spread(then) or 0.0) / math.sqrt(len(then))
    return Compared(
        estimate=math.exp(estimate),
        fail_low=exp(fail_low),
        fail_high=exp(fail_high),
        keep_low=exp(keep_low),
        keep_high=exp(keep_high),
        sample=len(now),
        scale="ratio",
        against=against,
        note=removed.note,
        spread=spread(now),
        doubt=math.hypot(doubt, stored_error),
        method=TWO_SESSIONS,
        notes=_other_ways(metric, evidence, stored, math.exp(estimate), removed),
    )


def _other_ways(
    metric: Metric, evidence: Evidence, stored: StoredMetric, decided: float, removed: Drift
) -> tuple[str, ...]:
    """The same comparison made in the other ways, for people: only one of them decides."""
    value = level(evidence.record, metric)
    lines = []
    way = "absolutely"
    if removed.corrects:
        gpu = removed.by is Corrects.DEVICE
        way = "through the GPU's yardstick" if gpu else "through the yardstick"
    lines.append(f"{way}: {show_percent(decided - 1)} (this decides)")
    if removed.corrects and value and stored.value:
        ratio = value / stored.value
        lines.append(f"absolutely: {show_percent(ratio - 1)}")
        if removed.cores is not None:
            cores = ratio / exp(removed.sign * removed.cores)
            lines.append(f"through the cores' yardstick: {show_percent(cores - 1)}")
    lines += _at_equal_cycles(metric, evidence.record, stored)
    reference, before = evidence.reference, evidence.reference_baseline
    if reference is None or before is None or evidence.baseline is None:
        return tuple(lines)
    then, now = before.metrics.get(metric.name), level(reference, metric)
    if then is None or not (now and value and then.value and stored.value):
        return tuple(lines)
    origins = [one.origin_of(metric.name) for one in (before, evidence.baseline)]
    if origins[0].recorded != origins[1].recorded:
        lines.append(
            f"through {reference.name}: not known, its baseline was recorded in another session"
        )
        return tuple(lines)
    moved = (value / now) / (stored.value / then.value)
    lines.append(f"through {reference.name}: {show_percent(moved - 1)}")
    worse = decided - 1 if metric.better is Better.LOWER else 1 / decided - 1
    alike = abs(moved - 1) < abs(decided - 1) / 2
    if worse > CONTROL_MARGIN and alike:
        lines.append(
            f"{reference.name} changed alike, so the cause is shared: common code or the "
            "machine; --perf-base decides which"
        )
    return tuple(lines)


def _at_equal_cycles(metric: Metric, record: RecipeRecord, stored: StoredMetric) -> list[str]:
    """The same comparison in cycles of the GPU (time x SM clock), where both sides know them."""
    value = level(record, metric)
    now = [launch.sm_clock for launch in record.launches if launch.sm_clock]
    if metric.unit is not Unit.SECONDS or not (value and stored.value and now and stored.clocks):
        return []
    times = math.log(value / stored.value)
    clocks = statistics.fmean(map(math.log, now)) - statistics.fmean(map(math.log, stored.clocks))
    line = f"in cycles of the GPU (time x SM clock): {show_percent(math.expm1(times + clocks))}"
    if equal_cycles(times, clocks):
        line += f": a clock effect, the SM clock moved by {show_percent(math.expm1(clocks))}"
    return [line]
