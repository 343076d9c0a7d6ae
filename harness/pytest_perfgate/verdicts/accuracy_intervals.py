"""Accuracy compared: differences and intervals from a paired bootstrap over images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_perfgate.files import digest_of
from pytest_perfgate.machine.cpu_quota import busy_cores
from pytest_perfgate.records.accuracy import Accuracy, Doubt, Matches, Ratio
from pytest_perfgate.records.calibration import ECE, calibration_parts, counted
from pytest_perfgate.records.ranking import ranking_of
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.robustness import is_corrupted
from pytest_perfgate.records.score_ranges import range_of
from pytest_perfgate.records.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np

    from pytest_perfgate.stats.image_bootstrap import Estimate, Resampled

_BITS = {
    f"{kind}{name}": bits
    for kind in ("", "mask_", "oks_")
    for name, bits in (("map", tuple(range(10))), ("map50", (0,)), ("map75", (5,)))
}
"""Which thresholds of the matches a metric is over."""


_UNMOVED = {"agreement": 1.0, "score_shift": 0.0}
"""What two recipes have that predict the same."""

FLAGGED_SHIFT = 0.1
"""A recipe whose scores move by this much on average is named, budget or not …"""

FLAGGED_DROP = 0.01
"""… when its main score is within this of the reference's: nothing else would show it."""

_MAIN = ("map", "mask_map", "oks_map", "accuracy", "miou", "pq", "hota")


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided interval. `identical`: both sides predicted the same."""

    estimate: float
    low: float
    high: float
    identical: bool = False


def accuracy_interval(accuracy: Accuracy, metric: str, alpha: float) -> Interval:
    """The value of one metric with alpha / 2 on each side; the value alone where the record does
    not hold what an interval is made from.
    """
    if (parts := _parts(accuracy, metric)) is not None:
        value = accuracy.values[metric]
        if value == _UNMOVED.get(metric):  # as good as identical predictions
            return Interval(value, value, value, identical=True)
        estimate = _ratio(parts.model_dump_json())
        low, high = estimate.bounds(alpha)
        # The error of a perfect model is above zero by chance, and that alone breaks no limit.
        if accuracy.matches is not None and metric == ECE:
            low -= _bias(accuracy.matches)
        least, largest = range_of(metric)
        return Interval(value, max(least, low), min(largest, high))
    if accuracy.matches is None or metric not in _BITS:
        value = accuracy.values[metric]
        return Interval(value, value, value)
    estimate = _one(accuracy.matches, metric)
    low, high = estimate.bounds(alpha)
    return Interval(accuracy.values[metric], max(0.0, low), min(1.0, high))


def accuracy_difference(
    one: Accuracy, other: Accuracy, metric: str, alpha: float
) -> Interval | None:
    """One - other with alpha / 2 on each side; None when they cannot be compared: other images,
    or no matches. Identical predictions differ by exactly nothing.
    """
    if one.data_digest != other.data_digest:
        return None
    if metric not in one.values or metric not in other.values:
        return None
    difference = one.values[metric] - other.values[metric]
    ours, theirs = _parts(one, metric), _parts(other, metric)
    if ours is not None and theirs is not None:
        if _is_empty(ours) or _is_empty(theirs):  # two sides that say nothing are not the same
            return Interval(difference, -math.inf, math.inf)
        if ours.equals(theirs):
            return Interval(0.0, 0.0, 0.0, identical=True)
        pair = (ours.model_dump_json(), theirs.model_dump_json())
        low, high = _ratio(*pair).bounds(alpha)
        return Interval(difference, low, high)
    if one.predictions_digest == other.predictions_digest:
        return Interval(0.0, 0.0, 0.0, identical=True)
    if one.matches is None or other.matches is None or metric not in _BITS:
        return Interval(difference, -math.inf, math.inf)  # nobody knows how sure it is
    if _same_ranking(one.matches, other.matches):
        return Interval(0.0, 0.0, 0.0, identical=True)
    estimate = _pair(one.matches, other.matches, metric)
    low, high = estimate.bounds(alpha)
    return Interval(difference, low, high)


def classes_of(accuracy: Accuracy) -> tuple[str, ...]:
    """The classes in the data whose scores can be told apart; none where the record lacks them."""
    if accuracy.matches is None:
        return ()
    present = accuracy.matches.truth.array().sum(axis=0) > 0
    return tuple(
        name for name, there in zip(accuracy.matches.categories, present, strict=True) if there
    )


def of_class(accuracy: Accuracy, name: str) -> Accuracy:
    """The same of one class of `classes_of` alone: matches, and the metrics over them."""
    import numpy as np

    from pytest_perfgate.records.accuracy import Packed
    from pytest_perfgate.stats.average_precision import mean_average_precision
    from pytest_perfgate.stats.reliability import reliability

    whole = accuracy.matches
    if whole is None:
        return accuracy
    index = whole.categories.index(name)
    rows = whole.category.array() == index
    matches = Matches(
        thresholds=whole.thresholds,
        categories=(name,),
        image=Packed.of(whole.image.array()[rows]),
        category=Packed.of(np.zeros(int(rows.sum()), dtype=np.int16)),
        score=Packed.of(whole.score.array()[rows]),
        hits=Packed.of(whole.hits.array()[rows]),
        ignored=Packed.of(whole.ignored.array()[rows]),
        truth=Packed.of(whole.truth.array()[:, [index]]),
        recalls=whole.recalls,
    )
    values = {
        metric: mean_average_precision(matches.table(), bits)
        for metric, bits in _BITS.items()
        if metric in accuracy.values
    }
    if ECE in accuracy.values:
        result = reliability(*counted(matches)[1:])
        values[ECE] = 0.0 if result is None else result.error  # its interval has no end then
    return accuracy.model_copy(update={"matches": matches, "values": values})


def of_images(accuracy: Accuracy, members: np.ndarray[Any, Any]) -> Accuracy:
    """The same of some images alone, `members` bool (images,): the scores over matches, and those
    that are ratios of sums over images. A score that they say nothing of is left out, and so are
    those of corrupted images, which may be others.

    Ratios that stand for a mean over classes by each image's influence are of all images only; what
    keeps them out is that no suite may ask for their slices (`Metric.sliceable`).
    """
    import numpy as np

    from pytest_perfgate.records.accuracy import Packed
    from pytest_perfgate.stats.average_precision import mean_average_precision
    from pytest_perfgate.stats.reliability import reliability

    values: dict[str, float] = {}
    ratios = {}
    for name, sums in accuracy.ratios.items():
        if is_corrupted(name):
            continue
        top, bottom = sums.numerator.array()[members], sums.denominator.array()[members]
        if bottom.sum() > 0:
            values[name] = float(top.sum()) / float(bottom.sum())
            ratios[name] = Ratio(numerator=Packed.of(top), denominator=Packed.of(bottom))
    matches, whole = None, accuracy.matches
    if whole is not None:
        chosen = members if whole.order is None else members[whole.order.array()]
        place = np.cumsum(chosen) - 1  # of an image among the chosen ones
        image = whole.image.array()
        rows = chosen[image]
        matches = whole.model_copy(
            update={
                "image": Packed.of(place[image[rows]].astype(np.int32)),
                "category": Packed.of(whole.category.array()[rows]),
                "score": Packed.of(whole.score.array()[rows]),
                "hits": Packed.of(whole.hits.array()[rows]),
                "ignored": Packed.of(whole.ignored.array()[rows]),
                "truth": Packed.of(whole.truth.array()[chosen]),
                "order": None,
            }
        )
        if matches.truth.array().sum() > 0:
            values |= {
                metric: mean_average_precision(matches.table(), bits)
                for metric, bits in _BITS.items()
                if metric in accuracy.values
            }
        if ECE in values:  # of a baseline, whose matches are a ranking without scores
            del values[ECE], ratios[ECE]
        elif ECE in accuracy.values:
            result = reliability(*counted(matches)[1:])
            values |= {} if result is None else {ECE: result.error}
    digest = digest_of([accuracy.data_digest, np.flatnonzero(members).tolist()])
    return accuracy.model_copy(
        update={
            "values": values,
            "per_category": {},
            "images": int(members.sum()),
            "data_digest": digest,
            "matches": matches,
            "ratios": ratios,
            "unmeasured": {},
            "sets": {},
            "slices": {},
        }
    )


def collapsed(recipes: Sequence[RecipeRecord]) -> tuple[str, ...]:
    """Recipes whose main score holds while their scores do not, a line each; a budget on
    `score_shift` says so already.
    """
    records = {record.name: record for record in recipes}
    lines = []
    for record in recipes:
        reference = records.get(record.reference)
        if record.accuracy is None or reference is None or reference.accuracy is None:
            continue
        values, before = record.accuracy.values, reference.accuracy.values
        main = next((name for name in _MAIN if name in values and name in before), None)
        if main is None:
            continue
        shift = values.get("score_shift", 0.0)
        held = before[main] - values[main] <= FLAGGED_DROP
        budgets = record.spec.get("budgets", {})
        if held and shift > FLAGGED_SHIFT and "score_shift" not in budgets:
            lines.append(
                f"{record.name} keeps its {main}, but its scores move by {shift:.2f} on average: "
                "a fixed threshold selects other predictions. Add a budget on score_shift"
            )
    return tuple(lines)


def doubts(recipes: Sequence[RecipeRecord], verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """References whose scores cannot be those of a working model, a line each; none where a verdict
    says it.
    """
    reasons = {verdict.reason for verdict in verdicts}
    return tuple(
        f"{text}; {doubt.next_step}"
        for record in recipes
        if record.accuracy is not None and (doubt := record.accuracy.doubt) is not None
        if (text := doubted(record.name, doubt)) not in reasons
    )


def doubted(reference: str, doubt: Doubt) -> str:
    """What a verdict says of a reference that is in doubt."""
    return f"the reference {reference} does not work as declared: {doubt.problem}"


@lru_cache(maxsize=256)
def _same_ranking(one: Matches, other: Matches) -> bool:
    """Whether both rank the same hits and misses of the same images alike, whatever the scores.

    Then every draw of images scores the same. Runtimes differ in the last bits of a score.
    """
    return ranking_of(one).equals(ranking_of(other))


def _parts(accuracy: Accuracy, metric: str) -> Ratio | None:
    """What a ratio of sums over images is made of; None where a metric is none."""
    if metric == ECE and metric not in accuracy.ratios and accuracy.matches is not None:
        return _calibration(accuracy.matches)
    return accuracy.ratios.get(metric)


@lru_cache(maxsize=256)
def _calibration(matches: Matches) -> Ratio:
    return calibration_parts(matches)


@lru_cache(maxsize=256)
def _is_empty(ratio: Ratio) -> bool:
    """Whether nothing stands below: no image has what the score is about."""
    return float(ratio.denominator.array().sum()) <= 0


@lru_cache(maxsize=256)
def _bias(matches: Matches) -> float:
    """Of an expected calibration error: see `stats.reliability`."""
    from pytest_perfgate.stats.reliability import calibration_bias

    return calibration_bias(*counted(matches), matches.truth.shape[0])


@lru_cache(maxsize=256)
def _ratio(one: str, other: str | None = None) -> Estimate:
    from pytest_perfgate.stats.image_bootstrap import Estimate
    from pytest_perfgate.stats.ratio import bootstrap

    parts = [Ratio.model_validate_json(part) for part in (one, other) if part is not None]
    sums = [(part.numerator.array(), part.denominator.array()) for part in parts]
    if min(float(bottom.sum()) for _, bottom in sums) <= 0:
        return Estimate(0.0, float("inf"), 1.0)  # nothing to divide by says nothing
    return bootstrap(sums[0], sums[1] if len(sums) > 1 else None)


# The same comparison is asked for at several levels, and once more after every launch.
@lru_cache(maxsize=256)
def _one(matches: Matches, metric: str) -> Estimate:
    from pytest_perfgate.stats.image_bootstrap import bootstrap

    return bootstrap(_resampled(matches), _BITS[metric])


@lru_cache(maxsize=256)
def _pair(one: Matches, other: Matches, metric: str) -> Estimate:
    from pytest_perfgate.stats.image_bootstrap import paired_bootstrap

    return paired_bootstrap(_resampled(one), _resampled(other), _BITS[metric])


@lru_cache(maxsize=64)
def _resampled(matches: Matches) -> Resampled:
    """Draws of one recipe's images, for all comparisons of it: recipes and baselines of a suite."""
    from pytest_perfgate.stats.image_bootstrap import Resampled

    return Resampled(matches.table(), threads=busy_cores())
