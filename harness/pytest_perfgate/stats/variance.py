"""Where the variance is, within launches or between them, and what follows for how many to run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_perfgate.stats.sequential import KEEPING, agreeing

Floats = npt.NDArray[np.float64]

_MOST = 500  # launches; whoever needs more is told that it does not end


@dataclass(frozen=True)
class Components:
    """The variance of one sample, in two parts.

    Attributes:
        mean: of the launches' means, each launch counted once.
        within: variance between samples of one launch.
        between: variance that launches add to it; at least 0.
        samples: how many samples a launch has (for unequal ones: what stands for it in the ANOVA).
        launches: how many launches there are.
    """

    mean: float
    within: float
    between: float
    samples: float
    launches: int

    @property
    def sd(self) -> float:
        """Standard deviation of one launch's mean: what `launches_needed` asks for."""
        return math.sqrt(self.between + self.within / self.samples)

    @property
    def share(self) -> float:
        """The part of a single sample's variance that is between launches, 0 to 1."""
        total = self.between + self.within
        return self.between / total if total > 0 else 0.0


def components(launches: Sequence[Sequence[float] | Floats]) -> Components:
    """Variance within and between launches, from the (log) samples of each.

    Moments of the one-way random model, also for launches of unequal size: between =
    (mean square between - mean square within) / n0, n0 = (N - sum n_i^2 / N) / (k - 1), and 0 where
    that is negative (Searle, Casella & McCulloch 1992, "Variance Components", section 3.6).

    Raises:
        ValueError: fewer than two launches, an empty one, none with two samples, or a sample that
            is not finite.
    """
    rows = [np.asarray(row, dtype=np.float64) for row in launches]
    if len(rows) < 2:
        raise ValueError("two launches at least")
    for row in rows:
        if row.ndim != 1 or not row.size or not np.isfinite(row).all():
            raise ValueError("samples must be finite, in one row, and there must be some")
    sizes = np.array([len(row) for row in rows], dtype=np.float64)
    total, count = float(sizes.sum()), len(rows)
    if total <= count:
        raise ValueError("a launch with two samples at least")
    # Fixed at the first sample: squares of large, nearly equal numbers lose their digits.
    origin = float(rows[0][0])
    means = np.array([float((row - origin).mean()) for row in rows])
    within = math.fsum(
        float(((row - origin - mean) ** 2).sum()) for row, mean in zip(rows, means, strict=True)
    ) / (total - count)
    grand = float((sizes * means).sum()) / total
    square = float((sizes * (means - grand) ** 2).sum()) / (count - 1)
    typical = (total - float((sizes**2).sum()) / total) / (count - 1)
    return Components(
        mean=origin + float(means.mean()),
        within=within,
        between=max(0.0, (square - within) / typical),
        samples=typical,
        launches=count,
    )


def launches_needed(sd: float, margin: float, alpha: float, power: float = 0.8) -> int | None:
    """The fewest launches after which a true change is likely proven by `median_bounds`; None:
    more than hundreds.

    `sd` is the standard deviation of one launch's log value (or log ratio) under normal noise,
    `margin` the relative distance of the truth from the limit (0.05: 5 % beyond it), `alpha` of the
    limit, `power` the chance that it is proven when that many launches are looked at once; that
    it may be proven before adds to it, so it is on the safe side.

    Raises:
        ValueError: `sd` is negative or not finite, `margin` is not above 0, or alpha or power is
            not between 0 and 1.
    """
    _check(sd, margin, power)
    chance = float(special.ndtr(math.log1p(margin) / sd)) if sd > 0 else 1.0
    proven = special.bdtrc(_agreeing(alpha) - 1, np.arange(1, _MOST + 1), chance) >= power
    return int(proven.argmax()) + 1 if proven.any() else None


@lru_cache(maxsize=64)
def _agreeing(alpha: float) -> npt.NDArray[np.int64]:
    """`sequential.agreeing` of 1 to `_MOST` launches; one more than there are for None."""
    counts = range(1, _MOST + 1)
    return np.array([agreeing(count, alpha) or count + 1 for count in counts], dtype=np.int64)


def launches_to_keep(sd: float, margin: float, alpha: float, power: float = 0.8) -> int | None:
    """As `launches_needed`, for the proof that a limit is kept: a look of `sequential.KEEPING` at
    which Student's t is likely to say so (noncentral t: Johnson & Welch 1940, Biometrika 31).

    Raises:
        ValueError: as `launches_needed`.
    """
    _check(sd, margin, power)
    for look in KEEPING.looks(alpha, _MOST):
        freedom = look.launches - 1
        needed = -float(special.stdtrit(freedom, look.alpha))
        if sd == 0.0:
            return look.launches
        shift = math.log1p(margin) / sd * math.sqrt(look.launches)
        if _noncentral(needed, freedom, shift) >= power:
            return look.launches
    return None


def _check(sd: float, margin: float, power: float) -> None:
    _check_sd(sd)
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin {margin!r} is not above 0")
    if not 0.0 < power < 1.0:
        raise ValueError(f"power {power!r} is not between 0 and 1")


def _noncentral(needed: float, freedom: int, shift: float) -> float:
    """The chance that a noncentral t is above `needed`: the mean of Phi(shift - needed * s) over
    the sample's spread s, at 400 quantiles of it. The usual series gives out at the huge quantiles
    of two degrees of freedom; this is right to about 0.001 everywhere.
    """
    return float(special.ndtr(shift - needed * _spreads(freedom)).mean())


@lru_cache(maxsize=256)
def _spreads(freedom: int) -> Floats:
    chances = (np.arange(400) + 0.5) / 400  # of chi-squared
    spreads: Floats = np.sqrt(2 * special.gammaincinv(freedom / 2, chances) / freedom)
    return spreads


def _check_sd(sd: float) -> None:
    if not (math.isfinite(sd) and sd >= 0):
        raise ValueError(f"{sd!r} is not a standard deviation")
