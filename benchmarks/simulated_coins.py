"""Ways to prove a slowdown with fewer launches, and what each does to the error promise.

A parent is a fresh process that imports the frameworks; from it pairs of arms are forked. Today a
launch is one parent with one pair. The others here fork several pairs, with labels drawn anew, from
each parent, or bet by the size of a difference. Each is looked at after every parent, on unchanged
code, on a slowdown of 5 % at a budget of 2 %, and on changed code that lies exactly on the budget,
where parents shift the ratio of the two versions: `python -m benchmarks.simulated_coins`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pytest_perfgate.stats.sequential import BREAKING, STAKES, agreeing
from scipy import special

from benchmarks.simulated import NOISES

ALPHA = 0.01
LIMIT = 0.02
MOST = 30  # parents
QUICK = 200  # runs
FORKS = 4
"""Pairs of a parent, where it has several."""

PARENTS_SD = 0.022
"""Standard deviation between parents of the log ratio of two different versions of code, with the
allocator set as launches set it; of one version it was not distinguishable from 0."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Design = Callable[[Floats], Bools]
"""Log ratios over the limit (runs, parents, pairs) to whether it is proven broken after each parent
(runs, parents)."""


def _signs(over: Floats) -> Bools:
    """Today's: one pair of each parent, by the sign."""
    return _proven_by_counts(over[:, :, 0] > 0)


def _pooled(over: Floats) -> Bools:
    """Every pair is a coin of its own, whatever its parent."""
    runs, parents, pairs = over.shape
    proven = _proven_by_counts((over > 0).reshape(runs, parents * pairs))
    return proven[:, pairs - 1 :: pairs]


def _shared(over: Floats) -> Bools:
    """The mean of the signs of a parent's pairs is one bet: fair however they depend."""
    return _held(np.sign(over).mean(axis=2)) >= -math.log(ALPHA)


def _sizes(over: Floats) -> Bools:
    """One pair of each parent; a bet in proportion to its size, by the median size so far."""
    values = over[:, :, 0]
    scale = np.stack(
        [np.median(abs(values[:, : at + 1]), axis=1) for at in range(values.shape[1])], axis=1
    )
    return _held(np.clip(values / np.maximum(scale, 1e-12), -1, 1)) >= -math.log(ALPHA)


def _parents(over: Floats) -> Bools:
    """Every pair is a coin against "unchanged", and Student's t over the parents' means, with the
    variance between parents in it, must prove the limit broken.
    """
    ratio = over + math.log1p(LIMIT)
    runs, parents, pairs = over.shape
    coins = _proven_by_counts((ratio > 0).reshape(runs, parents * pairs))[:, pairs - 1 :: pairs]
    means = over.mean(axis=2)
    proven = np.zeros_like(coins)
    for look in BREAKING.looks(ALPHA, parents):
        looked = means[:, : look.launches]
        error = looked.std(axis=1, ddof=1) / math.sqrt(look.launches)
        low = looked.mean(axis=1) + error * special.stdtrit(look.launches - 1, look.alpha)
        proven[:, look.launches - 1] = low > 0
    return coins & proven


DESIGNS: Mapping[str, tuple[Design, int]] = {
    "signs, a pair per parent (today)": (_signs, 1),
    "signs, 4 pairs as coins": (_pooled, FORKS),
    "mean sign of 4 pairs": (_shared, FORKS),
    "sizes, a pair per parent": (_sizes, 1),
    "4 pairs as coins, t over parents": (_parents, FORKS),
}
"""Each with its pairs per parent."""


def _proven_by_counts(beyond: Bools) -> Bools:
    needed = np.array([agreeing(at + 1, ALPHA) or at + 2 for at in range(beyond.shape[1])])
    return np.asarray(np.cumsum(beyond, axis=1) >= needed)


def _held(scores: Floats) -> Floats:
    """The log of what is held by bets on scores in [-1, 1]."""
    parts = [math.log(part) + np.cumsum(np.log1p(share * scores), axis=1) for share, part in STAKES]
    return np.asarray(np.logaddexp.reduce(parts))


def _unchanged(random: np.random.Generator, noise: str, runs: int) -> Floats:
    """Log ratios of two arms of one code (runs, parents, pairs); no parent favours either."""
    logs = [NOISES[noise](random, (MOST, 2 * FORKS)).reshape(MOST, FORKS, 2) for _ in range(runs)]
    pairs = np.stack(logs)
    return np.asarray(pairs[..., 0] - pairs[..., 1])


def _normal(random: np.random.Generator, runs: int) -> Floats:
    return PARENTS_SD * random.normal(size=(runs, MOST, 1))


def _modes(random: np.random.Generator, runs: int) -> Floats:
    """Half of the parents favour one version by 5 %, the others the other one."""
    return np.asarray(np.where(random.random((runs, MOST, 1)) < 0.5, -0.05, 0.05))


def _skewed(random: np.random.Generator, runs: int) -> Floats:
    """Half of the parents slow the newer version by 15 %, the others speed it up by 5 %."""
    return np.asarray(np.where(random.random((runs, MOST, 1)) < 0.5, -0.05, 0.15))


SHIFTS: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "parents shift, normal": _normal,
    "parents in two modes": _modes,
    "parents skewed": _skewed,
}
"""What a parent adds to the log ratio of two versions; the median of each is 0."""


@dataclass(frozen=True)
class Row:
    """What became of the runs of one design.

    Attributes:
        truth: "unchanged", "5 % slower", or "on the limit".
        red: the share of runs in which the limit was ever called broken, in up to `MOST` parents.
        parents: the median number of parents until then, of the runs in which it was.
    """

    design: str
    noise: str
    truth: str
    red: float
    parents: float


def rows(runs: int, seed: int = 0) -> list[Row]:
    """All designs under all noises."""
    results = []
    cases = [(noise, truth) for noise in NOISES for truth in ("unchanged", "5 % slower")]
    cases += [(shift, truth) for shift in SHIFTS for truth in ("on the limit", "5 % slower")]
    for number, (noise, truth) in enumerate(cases):
        random = np.random.default_rng([seed, number])
        ratio = _unchanged(random, noise if noise in NOISES else "calm, 1 %", runs)
        if noise in SHIFTS:
            ratio = ratio + SHIFTS[noise](random, runs)
        change = {"unchanged": 0.0, "5 % slower": 0.05, "on the limit": LIMIT}[truth]
        over = ratio + math.log1p(change) - math.log1p(LIMIT)
        for name, (design, _) in DESIGNS.items():
            proven = design(over)
            ever = proven.any(axis=1)
            first = proven.argmax(axis=1)[ever] + 1
            median = float(np.median(first)) if ever.any() else math.nan
            results.append(Row(name, noise, truth, float(ever.mean()), median))
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints, for each design and noise, how often a limit is called broken, and how soon."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulated_coins", description=main.__doc__
    )
    parser.add_argument("--runs", type=int, default=2000, help="per noise (default: 2000)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} runs per noise")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    options = parser.parse_args(arguments)
    runs = QUICK if options.quick else options.runs
    results = rows(runs)
    print(
        f"alpha {ALPHA:g}, a budget of {LIMIT:.0%}, at most {MOST} parents, {runs} runs "
        "each; FAIL, and the median of parents until then"
    )
    for name, (_, pairs) in DESIGNS.items():
        print(f"\n{name}, {pairs} per parent" if pairs > 1 else f"\n{name}")
        own = [row for row in results if row.design == name]
        for noise in dict.fromkeys(row.noise for row in own):
            still, slow = (row for row in own if row.noise == noise)
            after = f"after {slow.parents:.0f}" if slow.red else ""
            print(
                f"  {noise:<24}{still.truth:<14}{still.red:>7.2%}   5 % slower{slow.red:>6.0%} "
                f"{after}"
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
