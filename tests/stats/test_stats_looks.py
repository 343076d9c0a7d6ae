"""How often bounds are wrong when they are looked at again and again, by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from pytest_perfgate.stats.sequential import BREAKING, mean_bounds, two_sample_bounds
from scipy import stats

Floats = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]


def two_modes(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Each launch in one of two modes, ten of their own spreads apart."""
    return np.where(random.random(shape) < 0.5, -1.0, 1.0) + 0.2 * random.normal(size=shape)


NOISES: dict[str, Noise] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "laplace": lambda random, shape: random.laplace(size=shape),
    "t3": lambda random, shape: random.standard_t(3, size=shape),
}


def wrong_bounds(noise: Noise, alpha: float, runs: int, least_sd: float) -> float:
    """The share of runs in which `low` was above the true mean 0 at any look to 60 launches."""
    array = noise(np.random.default_rng(13), (runs, 60))
    wrong = np.zeros(runs, dtype=bool)
    for look in BREAKING.looks(alpha, 60):
        observed = array[:, : look.launches]
        error = np.maximum(observed.std(axis=1, ddof=1), least_sd) / math.sqrt(look.launches)
        low = observed.mean(axis=1) - error * stats.t.isf(look.alpha, look.launches - 1)
        # The same numbers as the function gives, for the first runs.
        for row in range(3):
            assert low[row] == pytest.approx(
                mean_bounds(observed[row].tolist(), alpha, BREAKING, least_sd=least_sd)[1]
            )
        wrong |= low > 0
    return float(wrong.mean())


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.05, 0.003])
@pytest.mark.parametrize("name", NOISES)
def test_bounds_are_wrong_at_any_look_in_at_most_alpha(name: str, alpha: float) -> None:
    """Looking at every look, `low` is ever above the true mean in at most alpha of runs."""
    runs = 100_000
    assert wrong_bounds(NOISES[name], alpha, runs, 1e-6) <= alpha + 3 * math.sqrt(alpha / runs)


@pytest.mark.slow
def test_launches_in_two_modes_break_t_bounds_as_is_written_down() -> None:
    """At alpha 0.003, two modes are wrong about ten times too often; a known spread mends most."""
    alone = wrong_bounds(two_modes, 0.003, 100_000, 1e-6) / 0.003
    mended = wrong_bounds(two_modes, 0.003, 100_000, 0.5) / 0.003
    assert 7 < alone < 12
    assert mended < 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stored", "spread", "transfer"), [(3, 1.0, 0.0), (10, 0.3, 0.0), (20, 1.0, 0.5)]
)
def test_two_sample_bounds_are_wrong_in_at_most_alpha(
    stored: int, spread: float, transfer: float
) -> None:
    """At every look and alpha 0.01, `low` is above the true difference in at most 1 % of runs."""
    random = np.random.default_rng(14)
    runs, alpha, wrong = 1500, 0.01, 0
    for _ in range(runs):
        now = random.normal(size=24).tolist()
        then = (spread * random.normal(size=stored) + transfer * random.normal()).tolist()
        wrong += any(
            two_sample_bounds(now[: look.launches], then, alpha, BREAKING, transfer_sd=transfer)[1]
            > 0
            for look in BREAKING.looks(alpha, 24)
        )
    assert wrong <= stats.binom.isf(1e-3, runs, alpha)
