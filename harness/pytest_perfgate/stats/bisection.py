"""Which commit brought a step, from noisy comparisons: arrays in, numbers out.

Each launch measures some commits beside each other. Its log values are modelled as

    value = level of the launch + size of the step * (whether the commit has the step) + noise

with normal noise of unknown size, the same for all. The level of a launch is free, so only
differences inside a launch count. Under each hypothesis "commit h brought the step" every commit
that contains h has it; the merge of two branches is no special case. With the conjugate prior, size
~ N(0, g * noise^2) and noise^2 ~ scaled inverse chi-squared, the integral over level, size and
noise is closed (O'Hagan & Forster 2004, "Kendall's Advanced Theory of Statistics 2B", chapter 11):

    p(data | h) ~ (1 + g S_bb)^(-1/2) * (v0 s0^2 + S_yy - S_by^2 / (S_bb + 1/g))^(-(v0 + n - L)/2)

with sums of squares and products within launches, n values and L launches. It has the tails of
Student's t: a few launches that happen to agree prove little.

Real launches have longer tails than normal ones. The likelihood is therefore raised to the power
`TEMPER` (Grünwald & van Ommen 2017, "Inconsistency of Bayesian inference for misspecified linear
models", Bayesian Analysis 12): evidence counts for less than the model says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TEMPER = 0.7
"""The power of the likelihood."""

_PRIOR_SIZE = 5.0  # g's root: steps of about five times a launch's noise are looked for
_PRIOR_WEIGHT = 2.0  # v0: launches that the prior noise is worth
_UNBUILT = 0.1  # of the mass: how much better a commit must split it to be worth a build


@dataclass(frozen=True)
class Noise:
    """What is known of the noise beforehand: standard deviation of a log value in a launch, and
    how many values that knowledge is worth.
    """

    sd: float = 0.01
    weight: float = _PRIOR_WEIGHT


def posterior(
    contains: Flags,
    launches: Sequence[Mapping[int, float]],
    prior: Floats,
    noise: Noise | None = None,
) -> Floats:
    """The probability of each hypothesis, given that one of them holds.

    Args:
        contains: (hypotheses, commits); whether a commit has the step under a hypothesis.
        launches: commit to log value, for each launch.
        prior: (hypotheses,), any scale; 0 rules one out.
        noise: what is known of it beforehand.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or no hypothesis is possible.
    """
    noise = noise or Noise()
    if prior.shape != contains.shape[:1] or not (prior >= 0).all() or not prior.sum() > 0:
        raise ValueError("the prior must have a value for each hypothesis, and one above 0")
    between, product, total, freedom = _sums(contains, launches)
    g = _PRIOR_SIZE**2
    rest = noise.weight * noise.sd**2 + total - product**2 / (between + 1 / g)
    logs = -0.5 * np.log1p(g * between) - 0.5 * (noise.weight + freedom) * np.log(rest)
    with np.errstate(divide="ignore"):
        logs = TEMPER * logs + np.log(prior)
    weights = np.exp(logs - logs.max())
    result: Floats = weights / weights.sum()
    return result


def _sums(
    contains: Flags, launches: Sequence[Mapping[int, float]]
) -> tuple[Floats, Floats, float, int]:
    """Sums within launches: of the flags' squares, of flags and values, of the values' squares;
    and the degrees of freedom.
    """
    between, product = np.zeros(len(contains)), np.zeros(len(contains))
    total, freedom = 0.0, 0
    for launch in launches:
        values = np.array(list(launch.values()), dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("a value is not finite")
        if len(values) < 2:
            continue
        flags = contains[:, list(launch)].astype(np.float64)
        values = values - values.mean()
        count = flags.sum(axis=1)
        between += count - count**2 / len(values)
        product += flags @ values
        total += float(values @ values)
        freedom += len(values) - 1
    return between, product, total, freedom


def next_commits(
    contains: Flags,
    probabilities: Floats,
    count: int,
    built: Collection[int],
    excluded: Collection[int],
) -> list[int]:
    """The commits to measure next: those that cut the probability into equal parts. A commit that
    is built already is preferred to one that cuts a little better.

    Args:
        contains: (hypotheses, commits), as of `posterior`.
        probabilities: (hypotheses,).
        count: how many at most.
        built: commits that cost no build.
        excluded: commits that cannot be measured, and those that are measured anyhow.
    """
    share = probabilities @ contains
    cost = np.full(len(share), _UNBUILT)
    cost[list(built)] = 0.0
    cost[list(excluded)] = np.inf
    chosen: list[int] = []
    for part in range(1, count + 1):
        away = np.abs(share - part / (count + 1)) + cost
        away[chosen] = np.inf
        best = int(away.argmin())
        if np.isfinite(away[best]):
            chosen.append(best)
    return sorted(chosen)


def alike(contains: Flags, measurable: Collection[int]) -> list[list[int]]:
    """The hypotheses in groups that no measurement can tell apart: the same commits among the
    measurable ones have the step.
    """
    groups: dict[bytes, list[int]] = {}
    columns = sorted(measurable)
    for number, row in enumerate(contains[:, columns]):
        groups.setdefault(row.tobytes(), []).append(number)
    return list(groups.values())


def credible(probabilities: Floats, groups: Sequence[Sequence[int]], level: float) -> list[int]:
    """The hypotheses of the fewest groups that together have the probability `level`, ascending."""
    masses = [float(probabilities[list(group)].sum()) for group in groups]
    chosen: list[int] = []
    total = 0.0
    for number in sorted(range(len(groups)), key=lambda number: -masses[number]):
        chosen += groups[number]
        total += masses[number]
        if total >= level:
            break
    return sorted(chosen)
