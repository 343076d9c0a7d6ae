"""The bounds that so many images will likely prove for a recipe that hardly changes its model.

A budget is worth writing when the images can decide it. An 8-bit recipe that works changes a few
predictions in a hundred, some for the better. Such a recipe is simulated on as many images, and its
bounds are computed as a verdict's are: by the same bootstrap. The numbers of the simulation are
assumptions, which real recipes break; they set a first budget and no verdict.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pytest_perfgate.stats import ratio
from pytest_perfgate.stats.average_precision import Table
from pytest_perfgate.stats.image_bootstrap import Estimate, freedom_of, paired_bootstrap

CHANGED = 0.02
"""Assumed share of images, or of detections, with another prediction."""

CHANGED_BOXES = 0.05
"""Assumed share of boxes that fit their object better or worse."""

SHIFT = 0.02
"""Assumed mean difference of scores, and its standard deviation over images."""

_DETECTED = 0.7  # assumed share of objects that a detector finds
_JITTER = 0.05  # assumed standard deviation of a score's change
_THRESHOLDS = 10
_DRAWS = 400
_SIMULATIONS = 5
_SEED = 0

Objects = npt.NDArray[np.int64]
"""Objects to find (images, categories)."""


def share_drop(images: int, alpha: float) -> float:
    """The upper bound of how much lower a share of images (accuracy) is: `CHANGED` of them, one at
    least, have another prediction, half of these are wrong now and half are right now.

    `alpha` is that of a two-sided interval.
    """
    changed = max(1, round(CHANGED * images))
    before = np.ones(images)
    after = np.ones(images)
    after[: math.ceil(changed / 2)] = 0.0
    before[math.ceil(changed / 2) : changed] = 0.0
    ones = np.ones(images)
    low, _ = ratio.bootstrap((after, ones), (before, ones)).bounds(alpha)
    return -low


def precision_drop(objects: Objects, alpha: float) -> float:
    """The upper bound of how much lower mean average precision is, on images with these objects:
    all scores move a little, and `CHANGED_BOXES` of the boxes fit otherwise. It is the mean of
    several simulations, for one of few objects depends on where its changes fall; and at least what
    one lost object comes to.
    """
    image, category = np.nonzero(objects)
    repeats = objects[image, category]
    places = np.repeat(image, repeats), np.repeat(category, repeats)
    drops = []
    for seed in range(_SIMULATIONS):
        after, before = _simulated(objects, places, np.random.default_rng(seed))
        low, _ = paired_bootstrap(after, before, "map", draws=_DRAWS).bounds(alpha)
        drops.append(-low)
    return max(float(np.mean(drops)), _one_lost(len(objects), int(objects.sum()), alpha))


def _one_lost(images: int, objects: int, alpha: float) -> float:
    """The same where one object of all is lost: 1 / objects, whose error over images is as much."""
    unit = 1.0 / objects
    without = np.zeros(images)
    without[0] = unit
    freedom = freedom_of(without, unit)
    low, _ = Estimate(-unit, math.hypot(unit, unit), freedom).bounds(alpha)
    return -low


def _simulated(
    objects: Objects, places: tuple[Objects, Objects], random: np.random.Generator
) -> tuple[Table, Table]:
    """A changed and an unchanged detector; `places` (D,) are the image and the category of each
    box.
    """
    count = len(places[0])
    score = random.uniform(0.3, 1.0, count)
    levels = random.integers(4, _THRESHOLDS + 1, count)
    levels[random.random(count) > _DETECTED] = 0
    changed = random.permutation(count)[: max(1, round(CHANGED_BOXES * count))]
    # Half fit worse by two thresholds of ten, half better.
    step = np.where(np.arange(len(changed)) % 2, 2, -2)
    moved = levels.copy()
    moved[changed] = np.clip(levels[changed] + step, 0, _THRESHOLDS)
    jittered = score + random.normal(0.0, _JITTER, count)
    return _table(objects, places, jittered, moved), _table(objects, places, score, levels)


def _table(
    objects: Objects,
    places: tuple[Objects, Objects],
    score: npt.NDArray[np.float64],
    levels: Objects,
) -> Table:
    return Table(
        image=places[0],
        category=places[1],
        score=score.astype(np.float32),
        hits=(np.left_shift(1, levels) - 1).astype(np.uint16),
        truth=objects,
        thresholds=_THRESHOLDS,
    )


def agreement_floor(images: int, alpha: float, *, predictions: int = 1) -> float:
    """The lower bound of `agreement`: `CHANGED` of the predictions, one at least, are others.
    `predictions` is how many an image has.
    """
    count = images * predictions
    changed = max(1, round(CHANGED * count))
    same = np.full(images, float(predictions))
    same[np.arange(changed) % images] -= 1
    low, _ = ratio.bootstrap((same, np.full(images, float(predictions)))).bounds(alpha)
    return low


def shift_ceiling(images: int, alpha: float) -> float:
    """The upper bound of `score_shift`: `SHIFT` on average."""
    shifts = np.random.default_rng(_SEED).exponential(SHIFT, images)
    shifts *= SHIFT / shifts.mean()
    _, high = ratio.bootstrap((shifts, np.ones(images))).bounds(alpha)
    return high


def rounded(value: float, *, up: bool) -> float:
    """A number of at most two digits, up or down: 0.0123 is 0.013 or 0.012; one below 0 is 0."""
    if not math.isfinite(value):
        return value
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    whole = math.ceil(value / unit - 1e-9) if up else math.floor(value / unit + 1e-9)
    return float(f"{whole * unit:.6g}")
