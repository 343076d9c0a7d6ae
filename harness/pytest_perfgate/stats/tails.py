"""Statements about few slow images among many, which no median shows.

Two arms take turns at every inference, so each round of a launch gives a pair of times of one image
and one moment. A round is *far* when its log ratio lies beyond a limit c: up (above c), or down
(below -c + 2m). Noise lies on both sides of the change of all images, m, alike, so down is where
noise goes as often as it goes beyond c: the mirror of c about m. Without m, a change of all images
within the limit would be taken for slow images. m is the median of the launches' medians, of all
launches together, since launches move by themselves, and is held within 0 and c: beyond c all
images are slower than the limit, and up.

**That more images are slower than noise makes them** (`proven`) is said by an e-process: a launch
gives a score in [-1, 1],

    s = (up - down) / max(1, SHRINK * sqrt(up + down)), clipped,

and a bet of the share l multiplies what is held by 1 + l * s. It gains nothing on average where the
arms are the same code: then each launch is as likely as the launch with its arms exchanged,
whatever noise there is and however much its rounds depend on each other, since their order is drawn
anew in every launch. With m = 0 the exchange makes up of down, so s changes its sign, and its mean
is 0, given the launches before. With m > 0 down is never fewer, and s, which falls as down grows
(its derivative by down is negative: -(3 up + down) / 2 over a positive number), is never more than
with m = 0. So for every m of 0 or more, even one that is drawn from all launches and anew at every
look, what is held is at most what it is with m = 0. By Ville's inequality (1939) the chance that
that *ever* reaches 1 / alpha is at most alpha (Ramdas, Grünwald, Vovk & Shafer 2023). A launch
without far rounds neither gains nor loses; where noise makes many rounds far, each counts for less.
It is compared with the signs of percentiles, and sessions of all images slower within the limit are
judged, by `python -m benchmarks.simulated_tails`.

**That no more than a share of the images are slower** (`share_bound`) is said at the looks of
`KEEPING`, by the larger of two bounds: Student's t over the launches' shares, and the binomial
bound of Clopper & Pearson (1934, Biometrika 26) on all rounds together, which knows that a slow
image that was not shown yet may come. There m is 0, or less where images are faster in all: what a
change of all images puts above the limit is not taken for noise. Rounds below the mirror stand for
noise above the limit only where they may be noise: where they are proven to be more than those
above, some images got faster, which says nothing of the others, and all rounds above the limit
count.
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
        up, down: above the limit, and below its mirror about the change of all (launches,).
        rounds: all of the launch (launches,).
    """

    up: Floats
    down: Floats
    rounds: Floats

    @property
    def share(self) -> float:
        """The share of all rounds that noise does not account for, up - down."""
        return float((self.up - self.down).sum() / self.rounds.sum())

    @property
    def share_up(self) -> float:
        """The share of all rounds above the limit, noise or not."""
        return float(self.up.sum() / self.rounds.sum())

    @property
    def exchanged(self) -> FarRounds:
        """Up as down, and down as up."""
        return FarRounds(self.down, self.up, self.rounds)


def far_rounds(
    launches: Sequence[Sequence[float]], limit: float, *, to_keep: bool = False
) -> FarRounds:
    """Counts the log ratios of each launch's rounds beyond `limit`, a log ratio of 0 or more: for
    `proven`, or `to_keep` the limit by `share_bound`.

    Beyond the change of all images that keeps the limit, few slow ones are lost in the mirror's
    noise. So to keep it, the mirror is about a change of at most 0: of images that are faster in
    all it is farther down, of those that are slower it takes nothing for noise.

    Raises:
        ValueError: no launches, one without rounds, a ratio that is not finite, or a limit below 0.
    """
    if not (math.isfinite(limit) and limit >= 0):
        raise ValueError(f"limit {limit!r} is below 0")
    rows = _checked(launches)
    change = float(np.median([np.median(row) for row in rows]))
    change = min(change, 0.0) if to_keep else min(max(change, 0.0), limit)
    mirror = 2 * change - limit
    return FarRounds(
        up=np.array([(row > limit).sum() for row in rows], dtype=np.float64),
        down=np.array([(row < mirror).sum() for row in rows], dtype=np.float64),
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
    `KEEPING`; infinite before the first. Where more rounds are proven to be down than up, all
    rounds that are up count as slower.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    more = far.up if proven(far.exchanged, alpha) else far.up - far.down
    shares = more / far.rounds
    _, _, student = mean_bounds(shares.tolist(), alpha, KEEPING)
    look = KEEPING.last(alpha, len(shares))
    if not look.launches:
        return math.inf
    looked_at = slice(0, look.launches)
    rounds = float(far.rounds[looked_at].sum())
    slower = max(0.0, float(more[looked_at].sum()))
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
