"""Few slow images in simulated sessions: which budget sees them, after how many launches.

A launch holds 32 rounds; a round gives each arm a time for the same image. In the newer version one
image in twenty takes three times as long, or nothing changed. After every launch a budget is judged
by the product's own rules, as in `benchmarks.simulated`: `python -m benchmarks.simulated_tails`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pytest_perfgate.metric import PERFORMANCE, TAIL
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.sequential import STAKES
from pytest_perfgate.stats.tails import FarRounds, scores
from pytest_perfgate.verdicts.evidence import Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.verdicts.tail_bounds import ALLOWED

from benchmarks.calibration import upper
from benchmarks.simulated import FEWEST, NOISES

ALPHA = 0.01
MOST = 40
"""Launches of a session: what a minute has room for in ONNX Runtime; torch has half."""

ROUNDS = 32
QUICK = 20  # sessions of each kind
_CHUNK = 200  # sessions that are drawn at a time
SHARE, FACTOR = 0.05, 3.0
"""The planted change: one image in twenty takes three times as long."""

Floats = npt.NDArray[np.float64]
Within = Callable[[np.random.Generator, tuple[int, int, int]], Floats]
"""Log times (launches, rounds, arms) of arms that are all the same, apart from their launches'."""


def _steady(random: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    return 0.02 * random.normal(size=shape)


def _bursts(random: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """One turn in twenty catches a burst of any length."""
    hit = random.random(shape) < 0.05
    return _steady(random, shape) + hit * np.log1p(random.pareto(1.5, size=shape))


def _moments(random: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """One round in ten is a burst for both arms."""
    launches, rounds, _ = shape
    hit = random.random((launches, rounds, 1)) < 0.1
    return _steady(random, shape) + hit * np.log1p(random.pareto(1.5, size=(launches, rounds, 1)))


def _images(random: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Images that differ: one in twenty takes 1.6 times as long as their median, in both arms."""
    return _steady(random, shape) + 0.3 * random.normal(size=(*shape[:2], 1))


def _busy(random: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Another program on the core: every fifth turn takes up to three times as long."""
    hit = random.random(shape) < 0.2
    return _steady(random, shape) + hit * np.log1p(2 * random.random(shape))


WITHIN: Mapping[str, Within] = {
    "steady": _steady,
    "bursts": _bursts,
    "bursts of both": _moments,
    "images that differ": _images,
    "busy core": _busy,
}

CALM = "calm, 1 %"
CASES: tuple[tuple[str, str], ...] = (
    *((name, CALM) for name in WITHIN),
    *(("bursts", name) for name in NOISES if name != CALM),
)
"""Noise of turns, and of launches."""

BUDGETS = (("latency_tail", 0.5), ("latency_p95", 0.05), ("latency_p99", 1.0))


@dataclass(frozen=True)
class Row:
    """How sessions of one budget under one noise ended.

    Attributes:
        red, green: of `sessions` unchanged ones.
        seen, seen_early: of `changed` ones, with `MOST` launches, and with half of them.
        launches: median of the sessions that saw it.
    """

    turns: str
    launch: str
    metric: str
    sessions: int
    red: int
    green: int
    changed: int
    seen: int
    seen_early: int
    launches: float


def session(
    case: tuple[str, str], budget: tuple[str, float], *, changed: bool, seed: int
) -> tuple[Status, int]:
    """How one session ended, and after how many launches."""
    random = np.random.default_rng(seed)
    logs = WITHIN[case[0]](random, (MOST, ROUNDS, 2))
    logs += NOISES[case[1]](random, (MOST, 2))[:, None, :]
    if changed:
        logs[:, :, 1] += np.log(FACTOR) * (random.random((MOST, ROUNDS)) < SHARE)
    base, now = (_arm(logs[:, :, arm]) for arm in (0, 1))
    name, limit = budget
    wanted = Budget(name, (Limit(LimitKind.REGRESSION, limit, f"{limit:.0%}"),))
    clock, status = datetime(2026, 1, 1, tzinfo=UTC), Status.INCONCLUSIVE
    for count in range(FEWEST, MOST + 1):
        late = range(count, MOST)
        evidence = Evidence(record=now.without(late), base=Base("base", base.without(late)))
        status = judge(wanted, PERFORMANCE[name], evidence, Risk(ALPHA), clock).status
        if status is not Status.INCONCLUSIVE:
            return status, count
    return status, MOST


def _arm(logs: Floats) -> RecipeRecord:
    nothing = (0.0,) * ROUNDS
    launches = tuple(
        Launch(
            index=index,
            core=0,
            started=float(index),
            load_time=0.0,
            preprocess=nothing,
            inference=tuple(row.tolist()),
            postprocess=nothing,
        )
        for index, row in enumerate(0.01 * np.exp(logs))
    )
    return RecipeRecord(name="detector", reference="detector", launches=launches)


def row(case: tuple[str, str], budget: tuple[str, float], sessions: int) -> Row:
    """Sessions of one budget under one noise: a fifth as many of the change; a tenth of all with
    budgets on percentiles, which are judged as ever.
    """
    sessions = sessions if budget[0] == TAIL else max(1, sessions // 10)
    unchanged = [session(case, budget, changed=False, seed=seed)[0] for seed in range(sessions)]
    few = max(1, sessions // 5)
    ended = [session(case, budget, changed=True, seed=seed) for seed in range(few)]
    seen = [count for status, count in ended if status is Status.FAIL]
    return Row(
        turns=case[0],
        launch=case[1],
        metric=budget[0],
        sessions=sessions,
        red=unchanged.count(Status.FAIL),
        green=unchanged.count(Status.PASS),
        changed=few,
        seen=len(seen),
        seen_early=sum(count <= MOST // 2 for count in seen),
        launches=statistics.median(seen) if seen else float("nan"),
    )


@dataclass(frozen=True)
class Change:
    """What the newer version does to its images: all take `every` times as long, and `share` of
    them `FACTOR` times that.
    """

    every: float = 1.0
    share: float = 0.0


UNCHANGED, FEW = Change(), Change(share=SHARE)
WITHIN_LIMITS = ((0.05, Change(1.03)), (0.05, Change(1.04)), (0.5, Change(1.3)))
"""Limits, and changes of all images that keep them."""


def unstopped(
    case: tuple[str, str], sessions: int, change: Change = UNCHANGED, limit: float = BUDGETS[0][1]
) -> tuple[int, int]:
    """Of sessions that go on to `MOST` launches, whatever is kept on the way: those in which the
    tail's budget is broken at any launch from the fourth on, and within half of them.
    """
    random = np.random.default_rng([2, CASES.index(case)])
    bound = float(np.log1p(limit))
    ever = early = 0
    for first in range(0, sessions, _CHUNK):
        runs = min(_CHUNK, sessions - first)
        logs = np.stack(
            [
                WITHIN[case[0]](random, (MOST, ROUNDS, 2))
                + NOISES[case[1]](random, (MOST, 2))[:, None, :]
                for _ in range(runs)
            ]
        )
        ratios = logs[..., 1] - logs[..., 0] + np.log(change.every)
        if change.share:
            ratios += np.log(FACTOR) * (random.random(ratios.shape) < change.share)
        broken = np.stack(
            [_broken(ratios[:, :count], bound) for count in range(FEWEST, MOST + 1)], axis=1
        )
        ever += int(broken.any(axis=1).sum())
        early += int(broken[:, : MOST // 2 - FEWEST + 1].any(axis=1).sum())
    return ever, early


def _broken(ratios: Floats, bound: float) -> npt.NDArray[np.bool_]:
    """Whether log ratios (sessions, launches, rounds) break the limit, as `tails.far_rounds` and
    `tail_bounds.against_base` do for one session; a test holds both together.
    """
    change = np.clip(np.median(np.median(ratios, axis=2), axis=1), 0.0, bound)
    up = (ratios > bound).sum(axis=2).astype(np.float64)
    down = (ratios < (2 * change - bound)[:, None, None]).sum(axis=2).astype(np.float64)
    marks = scores(FarRounds(up, down, np.full(up.shape, float(ROUNDS))))
    held = np.logaddexp.reduce(
        [np.log(part) + np.log1p(stake * marks).sum(axis=1) for stake, part in STAKES]
    )
    share = (up - down).mean(axis=1) / ROUNDS
    return np.asarray((held >= -np.log(ALPHA)) & (share > ALLOWED))


def print_unstopped(sessions: int) -> bool:
    """A line for each noise; whether unchanged code is red no more often than alpha allows."""
    print(
        f"\nlatency_tail {BUDGETS[0][1]:.0%}, sessions that nothing stops, {sessions} each\n"
        f"{'noise of turns':<19}{'of launches':<15}{'unchanged: FAIL':>16}{'(95 % bound)':>14}"
        f"{f'FAIL in {MOST // 2}':>12}{f'in {MOST}':>7}"
    )
    within = True
    for case in CASES:
        red, _ = unstopped(case, sessions)
        seen, early = unstopped(case, sessions, FEW)
        within &= red <= _most(sessions)
        print(
            f"{case[0]:<19}{case[1]:<15}{red / sessions:>16.2%}{upper(red, sessions):>14.2%}"
            f"{early / sessions:>12.1%}{seen / sessions:>7.1%}",
            flush=True,
        )
    return within


def print_within(sessions: int) -> bool:
    """FAIL of sessions in which all images are slower by less than the limit, which nothing stops;
    whether they are no more often than alpha allows.
    """
    columns = [f"+{change.every - 1:.0%} of {limit:.0%}" for limit, change in WITHIN_LIMITS]
    print(
        f"\nlatency_tail, all images slower within the limit: FAIL in {MOST}, {sessions} each\n"
        f"{'noise of turns':<19}{'of launches':<15}" + "".join(f"{one:>13}" for one in columns)
    )
    within = True
    for case in CASES:
        red = [unstopped(case, sessions, change, limit)[0] for limit, change in WITHIN_LIMITS]
        within &= max(red) <= _most(sessions)
        shares = "".join(f"{one / sessions:>13.2%}" for one in red)
        print(f"{case[0]:<19}{case[1]:<15}{shares}", flush=True)
    return within


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints how often each budget sees the change, and turns red without one."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulated_tails", description=main.__doc__
    )
    parser.add_argument("--sessions", type=int, default=1000, help="per noise (default: 1000)")
    parser.add_argument(
        "--unstopped", type=int, default=10000, help="sessions that nothing stops (default: 10000)"
    )
    parser.add_argument(
        "--within", type=int, default=1000, help="sessions of all images slower (default: 1000)"
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} sessions of each kind")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    options = parser.parse_args(arguments)
    if options.quick:
        options.sessions = options.unstopped = options.within = QUICK
    print(
        f"one image in twenty takes {FACTOR:g} times as long; alpha {ALPHA:g}, at most {MOST} "
        f"launches of {ROUNDS} rounds, {options.sessions} unchanged sessions each"
    )
    print(
        f"{'noise of turns':<19}{'of launches':<15}{'budget':<19}{'unchanged: FAIL':>16}{'PASS':>6}"
        f"{f'FAIL in {MOST // 2}':>12}{f'in {MOST}':>7}{'launches':>10}"
    )
    rows = []
    for case in CASES:
        for budget in BUDGETS if case[1] == CALM else BUDGETS[:1]:
            one = row(case, budget, options.sessions)
            rows.append(one)
            print(
                f"{one.turns:<19}{one.launch:<15}{f'{one.metric} {budget[1]:.0%}':<19}"
                f"{one.red / one.sessions:>16.2%}{one.green / one.sessions:>6.0%}"
                f"{one.seen_early / one.changed:>12.1%}{one.seen / one.changed:>7.0%}"
                f"{one.launches:>10.0f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in rows], indent=1) + "\n")
    within = print_unstopped(options.unstopped)
    if not print_within(options.within):
        sys.exit("a change within the limit is red more often than alpha allows")
    if not within or any(one.red > _most(one.sessions) for one in rows):
        sys.exit("unchanged code is red more often than alpha allows")


def _most(sessions: int) -> float:
    """Red sessions that chance would exceed in one of 10,000 runs, were alpha exactly used up."""
    from scipy import stats

    return float(stats.binom.isf(1e-4, sessions, ALPHA))


if __name__ == "__main__":
    main()
