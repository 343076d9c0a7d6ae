"""Quantiles of samples, and bounds on them that ask nothing of the samples' distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]


def quantile(samples: Sequence[float] | Floats, q: float) -> float:
    """The q-quantile, linear between order statistics (type 7 of Hyndman & Fan 1996, The American
    Statistician 50; numpy's default).

    Raises:
        ValueError: no samples, one that is not finite, or q not in 0..1.
    """
    return _linear(_sorted(samples), q)


def quantile_bounds(
    samples: Sequence[float] | Floats, q: float, alpha_low: float, alpha_high: float
) -> tuple[float, float, float]:
    """Estimate and one-sided bounds of the q-quantile of what the samples were drawn from.

    That quantile lies below `low` with probability at most `alpha_low` and above `high` with at
    most `alpha_high`, for any distribution, one with steps too. The bounds are order statistics,
    chosen by the binomial distribution of how many samples fall below a quantile (Hahn & Meeker
    1991, "Statistical Intervals", section 5.2); infinite when there are too few samples. Samples
    must be independent: those of one launch are not, one value per launch is.

    Raises:
        ValueError: no samples, one that is not finite, q not inside 0..1, or an alpha that is not
            between 0 and 1.
    """
    ordered = _sorted(samples)
    if not 0.0 < q < 1.0:
        raise ValueError(f"q {q!r} is not inside 0..1")
    for alpha in (alpha_low, alpha_high):
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha {alpha!r} is not between 0 and 1")
    count = len(ordered)
    # The chance that at most, and more than, 0 … count - 1 samples are at or below the quantile.
    at_most, more = (part(np.arange(count), count, q) for part in (special.bdtr, special.bdtrc))
    low_rank = int(np.count_nonzero(at_most <= alpha_low))
    high_rank = 1 + int(np.count_nonzero(more > alpha_high))
    estimate = _linear(ordered, q)
    low = float(ordered[low_rank - 1]) if low_rank else -math.inf
    high = float(ordered[high_rank - 1]) if high_rank <= count else math.inf
    return estimate, min(low, estimate), max(high, estimate)


def _linear(ordered: Floats, q: float) -> float:
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q {q!r} is not in 0..1")
    at = (len(ordered) - 1) * q
    left = math.floor(at)
    right = min(left + 1, len(ordered) - 1)
    # Weighing both keeps the result between them; a step from one side can round past the other.
    share = at - left
    return float(
        np.clip(
            (1.0 - share) * ordered[left] + share * ordered[right], ordered[left], ordered[right]
        )
    )


def _sorted(samples: Sequence[float] | Floats) -> Floats:
    array = np.asarray(samples, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError("samples must be finite, in one row, and there must be some")
    return np.sort(array)
