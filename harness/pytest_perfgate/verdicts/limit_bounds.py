"""What a limit compares, with bounds: the level itself, or its ratio or difference to another arm.

One rule for each kind of metric, the same for all limits. Of times, rates and memory the launches
are the sample, on the scale of logarithms; of scores the images are; sizes are exact; what was
observed once is taken as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from pytest_perfgate.metric import COUNTED, OVER_FOLDS, PARITY, Metric, Rule
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.alike import unlike_graphs
from pytest_perfgate.records.counts import Counts, changed_kinds
from pytest_perfgate.records.launch_values import (
    launch_ratio,
    launch_values,
    level,
    log_value,
    stretches_of,
)
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.robustness import images_of
from pytest_perfgate.units import count_of, show_percent
from pytest_perfgate.verdicts.evidence import (
    BOOTSTRAP,
    BOOTSTRAP_ONE,
    EXACT,
    FOLDS,
    ONCE,
    SIGNS,
    STRETCHES,
    Compared,
    Evidence,
    Risk,
)
from pytest_perfgate.verdicts.log_values import exp, spread

LEAST_SD = 0.005
"""Launches that agree better than this are taken to agree this well: a few that happen to lie in
one mode of a bimodal machine would prove too much."""


_SIGNS = 0.2
"""The share of `Risk.keep` that is spent on signs; the rest is spent on Student's t."""

CONTROL_ALPHA = 0.05
"""Level, on each side, at which the reference and its unchanged copy look different."""

CONTROL_MARGIN = 0.01
"""A difference of the two up to this is small enough to be left alone."""


def absolute(metric: Metric, evidence: Evidence, risk: Risk) -> Compared | None:
    """The level itself; None: it was not measured."""
    record = evidence.record
    value = level(record, metric)
    if value is None:
        return None
    if metric.rule is Rule.EXACT:
        smallest = record.parity.smallest if record.parity and metric.name == PARITY else ""
        note = f"the smallest input that breaks it: {smallest}" if smallest else ""
        return replace(exact(value, "value", ""), note=note)
    if metric.rule is Rule.ONCE:
        return replace(exact(value, "value", ""), method=ONCE, note=ONCE)
    if metric.rule is Rule.STRETCHES:
        return _over_stretches(metric, record, risk)
    if metric.rule is Rule.FOLDS:
        return _over_folds(metric, record, risk)
    if metric.rule is Rule.IMAGES:
        return _accuracy_absolute(metric, record, risk)
    return from_launches(map(log_value, launch_values(record, metric).values()), risk, "value", "")


def against_arm(
    metric: Metric, record: RecipeRecord, other: RecipeRecord, against: str, risk: Risk
) -> Compared | None:
    """Value / other (scores: value - other) of two arms of one session; None: it has none."""
    if metric.rule is Rule.IMAGES:
        return difference_of_scores(metric, record, other.accuracy, risk, against)
    if metric.rule is Rule.EXACT:
        here, there = level(record, metric), level(other, metric)
        if here is None or there is None:
            return None
        return beside_exact(metric, here, there, against, record, other.counts)
    ratios = log_ratios(metric, record, other)
    return from_launches(ratios, risk, "ratio", against) if ratios else None


def control_difference(metric: Metric, evidence: Evidence) -> str:
    """What is wrong when the reference and its unchanged copy look different, "" when they do not.

    They are the same code, and the order of arms is drawn anew in every launch: a difference
    that their signs prove, beyond `CONTROL_MARGIN`, is the measurement's own.
    """
    if evidence.control is None or metric.rule is not Rule.LAUNCHES:
        return ""
    one, copy = evidence.control
    ratios = log_ratios(metric, copy, one)
    if not ratios:
        return ""
    from pytest_perfgate.stats.sequential import median_bounds

    estimate, low, high = median_bounds(ratios, CONTROL_ALPHA, CONTROL_ALPHA)
    margin = math.log1p(CONTROL_MARGIN)
    if low <= margin and high >= -margin:
        return ""
    return (
        f"{one.name} and its unchanged copy, measured in the same launches, differ by "
        f"{show_percent(math.expm1(estimate))} in {metric.name}"
    )


def log_ratios(metric: Metric, record: RecipeRecord, other: RecipeRecord) -> list[float]:
    """Log of value / other in each launch that measured both, in their order (`launch_ratio`)."""
    theirs = {launch.index: launch for launch in other.launches}
    ratios = []
    for launch in sorted(record.launches, key=lambda one: one.index):
        beside = theirs.get(launch.index)
        ratio = launch_ratio(launch, beside, metric.name) if beside else None
        if ratio is not None:
            ratios.append(ratio)
    return ratios


def from_launches(logs: Iterable[float], risk: Risk, scale: str, against: str) -> Compared:
    """Bounds on exp of the median of log values, valid at every number of launches."""
    from pytest_perfgate.stats import sequential

    values = list(logs)
    estimate, fail_low, fail_high = sequential.median_bounds(values, risk.fail, risk.fail)
    signs = risk.keep * _SIGNS
    _, sign_low, sign_high = sequential.median_bounds(values, signs, signs)
    _, t_low, t_high = sequential.mean_bounds(
        values, risk.keep - signs, sequential.KEEPING, least_sd=LEAST_SD
    )
    return Compared(
        estimate=exp(estimate),
        fail_low=exp(fail_low),
        fail_high=exp(fail_high),
        keep_low=exp(max(t_low, sign_low)),
        keep_high=exp(min(t_high, sign_high)),
        sample=len(values),
        scale=scale,
        against=against,
        spread=spread(values),
        method=SIGNS,
    )


def _over_stretches(metric: Metric, record: RecipeRecord, risk: Risk) -> Compared | None:
    """The mean over the stretches of one long run."""
    from pytest_perfgate.stats.sequential import fixed_bounds

    stretches = stretches_of(record, metric)
    if stretches is None:
        return None
    values, least = stretches
    estimate, fail_low, fail_high = fixed_bounds(values, risk.fail, least_sd=least)
    _, keep_low, keep_high = fixed_bounds(values, risk.keep, least_sd=least)
    return Compared(
        estimate, fail_low, fail_high, keep_low, keep_high, len(values), "value", method=STRETCHES
    )


def _over_folds(metric: Metric, record: RecipeRecord, risk: Risk) -> Compared | None:
    """The mean of a score over folds, with the corrected variance of its scatter."""
    score = metric.name.removesuffix(OVER_FOLDS)
    fail, keep = (
        record.folds.bounds(score, alpha) if record.folds else None
        for alpha in (risk.fail, risk.keep)
    )
    if record.folds is None or fail is None or keep is None:
        return None
    estimate, *bounds = fail
    count = len(record.folds.tested)
    return Compared(estimate, bounds[0], bounds[1], keep[1], keep[2], count, "value", method=FOLDS)


def exact(value: float, scale: str, against: str) -> Compared:
    """What is known without error: all bounds are the value."""
    return Compared(value, value, value, value, value, 1, scale, against)


def beside_exact(
    metric: Metric,
    value: float,
    other: float,
    against: str,
    record: RecipeRecord,
    theirs: Counts | None,
) -> Compared | None:
    """Value / other of what is known without error; value - other where the other is 0, which has
    no ratio: then any more is too much. A count that differs names the nodes that do: `record` is
    the value's, `theirs` tells the nodes of the other's graph by kind.
    """
    if not other and metric.name not in COUNTED:
        return None
    if other:
        compared = exact(value / other, "ratio", against)
    else:
        compared = exact(value, "difference", against)
    ours = record.counts
    if metric.name not in COUNTED or value == other or not (ours and theirs and theirs.kinds):
        return compared
    if unlike_graphs(ours.source, theirs.source):
        return compared
    changed = changed_kinds(ours.kinds, theirs.kinds)
    return replace(compared, note=f"nodes: {changed or 'the same kinds, as many of each'}")


def _accuracy_absolute(metric: Metric, record: RecipeRecord, risk: Risk) -> Compared | None:
    from pytest_perfgate.verdicts.accuracy_intervals import accuracy_interval

    accuracy = None if record.accuracy is None else record.accuracy.on(metric.of_set)
    if accuracy is None or metric.score_name not in accuracy.values:
        return None
    value = accuracy.values[metric.score_name]
    fail = accuracy_interval(accuracy, metric.score_name, 2 * risk.fail)
    keep = accuracy_interval(accuracy, metric.score_name, 2 * risk.keep)
    return Compared(
        value,
        fail.low,
        fail.high,
        keep.low,
        keep.high,
        images_of(accuracy, metric.score_name),
        "value",
        method=f"{BOOTSTRAP_ONE} {accuracy.unit}s" if fail.low < fail.high else EXACT,
        unit=accuracy.unit,
        note=_few(accuracy) if fail.low < fail.high else "",
    )


def difference_of_scores(
    metric: Metric, record: RecipeRecord, other: object, risk: Risk, against: str
) -> Compared | None:
    """Score - other score over the same images, paired; None: one of them has no accuracy, or they
    are of other images.
    """
    from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference

    ours = None if record.accuracy is None else record.accuracy.on(metric.of_set)
    theirs = other.on(metric.of_set) if isinstance(other, Accuracy) else None
    if ours is None or theirs is None:
        return None
    fail = accuracy_difference(ours, theirs, metric.score_name, 2 * risk.fail)
    keep = accuracy_difference(ours, theirs, metric.score_name, 2 * risk.keep)
    if fail is None or keep is None:
        return None
    return Compared(
        fail.estimate,
        fail.low,
        fail.high,
        keep.low,
        keep.high,
        images_of(ours, metric.score_name),
        "difference",
        against,
        "identical predictions" if fail.identical else _few(ours),
        method=EXACT if fail.identical else f"{BOOTSTRAP} {ours.unit}s",
        unit=ours.unit,
    )


_FEWEST = 8
"""Sequences or clips below which an interval over them says so."""


def _few(accuracy: Accuracy) -> str:
    """What to say of an interval that rests on few sequences, however many frames they have."""
    if accuracy.unit == "image" or accuracy.images >= _FEWEST:
        return ""
    return f"a rough interval, over {count_of(accuracy.images, accuracy.unit)}"
