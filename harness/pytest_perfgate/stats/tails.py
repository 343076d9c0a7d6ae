"""Statements about few slow images among many, which no median shows.

Two arms take turns at every inference, so each round of a launch gives a pair of times of one image
and one moment. A round is *far* when its log ratio lies beyond a limit c: up (above c), or down
(below -c). Of two arms of the same code each launch is as likely as the launch with the arms
exchanged, whatever noise there is, since their order is drawn anew in every launch; so the
difference of both counts, up - down, is symmetric about 0. That holds for the launch as a whole,
however much its rounds depend on each other.

**That more images are slower than noise makes them** (`proven`) is said by an e-process: a launch
gives a score in [-1, 1] that changes its sign when the arms are exchanged,

    (up - down) / max(1, SHRINK * sqrt(up + down)), clipped,

and a bet of the share l multiplies what is held by 1 + l * score, which gains nothing on average
under symmetry. By Ville's inequality (1939) the chance that what is held *ever* reaches 1 / alpha
is at most alpha (Ramdas, Grünwald, Vovk & Shafer 2023). A launch without far rounds neither gains
nor loses; where noise makes many rounds far, each counts for less. It is compared with the signs of
percentiles by `python -m benchmarks.simulated_tails`.

**That no more than a share of the images are slower** (`share_bound`) is said at the looks of
`KEEPING`, by the larger of two bounds: Student's t over the launches' shares, and the binomial
bound of Clopper & Pearson (1934, Biometrika 26) on all rounds together, which knows that a slow
image that was not shown yet may come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_perfgate.stats.sequential import KEEPING, STAKES, mean_bounds

Floats = npt.NDArray[np.float64]

SLOWEST = 0.05
"""The share of the images that `tail` speaks of: the slowest twentieth."""

SHRINK = 1.4
"""By how much far rounds on both sides shrink a launch's bet; by simulation, 1 to 1.4 are alike."""


@dataclass(frozen=True)
class FarRounds:
    """Rounds of each launch that lie beyond a limit.

    Attributes:
        up, down: above the limit, and below its mirror (launches,).
        rounds: all of the launch (launches,).
    """

    up: Floats
    down: Floats
    rounds: Floats

    @property
    def share(self) -> float:
        """The share of all rounds that noise does not account for, up - down."""
        return float((self.up - self.down).sum() / self.rounds.sum())


def far_rounds(launches: Sequence[Sequence[float]], limit: float) -> FarRounds:
    """Counts the log ratios of each launch's rounds beyond `limit`, a log ratio of 0 or more.

    Raises:
        ValueError: no launches, one without rounds, a ratio that is not finite, or a limit below 0.
    """
    if not (math.isfinite(limit) and limit >= 0):
        raise ValueError(f"limit {limit!r} is below 0")
    rows = _checked(launches)
    return FarRounds(
        up=np.array([(row > limit).sum() for row in rows], dtype=np.float64),
        down=np.array([(row < -limit).sum() for row in rows], dtype=np.float64),
        rounds=np.array([row.size for row in rows], dtype=np.float64),
    )


def scores(far: FarRounds) -> Floats:
    """Of each launch, in [-1, 1]: how far its far rounds speak for slower images (launches,)."""
    scale = np.maximum(1.0, SHRINK * np.sqrt(far.up + far.down))
    return np.clip((far.up - far.down) / scale, -1.0, 1.0)


def proven(far: FarRounds, alpha: float) -> bool:
    """Whether more rounds are up than down, at all numbers of launches together.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha {alpha!r} is not between 0 and 1")
    marks = scores(far)
    held = [math.log(part) + float(np.log1p(share * marks).sum()) for share, part in STAKES]
    return float(np.logaddexp.reduce(held)) >= -math.log(alpha)


def share_bound(far: FarRounds, alpha: float) -> float:
    """An upper bound on the share of rounds that are slower beyond noise, valid at every look of
    `KEEPING`; infinite before the first.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    shares = (far.up - far.down) / far.rounds
    _, _, student = mean_bounds(shares.tolist(), alpha, KEEPING)
    look = KEEPING.last(alpha, len(shares))
    if not look.launches:
        return math.inf
    looked_at = slice(0, look.launches)
    rounds = float(far.rounds[looked_at].sum())
    slower = max(0.0, float((far.up - far.down)[looked_at].sum()))
    if slower >= rounds:
        return math.inf
    binomial = float(special.betaincinv(slower + 1, rounds - slower, 1.0 - look.alpha))
    return max(student, binomial)


def tail(launches: Sequence[Sequence[float]]) -> float:
    """By which factor, as a logarithm, the slowest twentieth of the images takes longer.

    The mean of the highest twentieth of all log ratios, plus that of the lowest, which is what
    noise does to it, less their median, which both have in them. It changes its sign when the arms
    are exchanged; a change of all images by one factor gives that factor.

    Raises:
        ValueError: as `far_rounds`.
    """
    ordered = np.sort(np.concatenate(_checked(launches)))
    count = max(1, round(SLOWEST * ordered.size))
    middle = float(np.median(ordered))
    return float(ordered[-count:].mean()) + float(ordered[:count].mean()) - middle


def slowest_mean(times: Sequence[float]) -> float:
    """Mean of the slowest twentieth of times, of the slowest at least (expected shortfall); a time
    that belongs to it in part counts in part.

    Raises:
        ValueError: no times.
    """
    ordered = np.sort(np.asarray(times, dtype=np.float64))[::-1]
    if not ordered.size:
        raise ValueError("no times")
    share = max(1.0, SLOWEST * ordered.size)
    weights = np.clip(share - np.arange(ordered.size), 0.0, 1.0)
    return float((ordered * weights).sum() / share)


def _checked(launches: Sequence[Sequence[float]]) -> list[Floats]:
    rows = [np.asarray(row, dtype=np.float64) for row in launches]
    if not rows:
        raise ValueError("no launches")
    for row in rows:
        if row.ndim != 1 or not row.size or not np.isfinite(row).all():
            raise ValueError("log ratios must be finite, in one row, and there must be some")
    return rows
