"""Verdicts beside the base: no stored baseline is needed, and the laws of the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import LimitResult, Status, Verdict
from pytest_perfgate.verdicts import limit_bounds, wording
from pytest_perfgate.verdicts.evidence import SIGNS, Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.verdicts.wording import next_step
from scipy import stats

from tests.verdicts.judging import LATENCY, NOW, RISK, SPREAD, recipe, stored, verdict

Noise = Callable[[np.random.Generator, tuple[int, int]], Any]


def arm(name: str, seconds: Sequence[float]) -> RecipeRecord:
    """A recipe whose launches took these times."""
    return recipe(name, 0.01).model_copy(
        update={
            "launches": tuple(
                Launch(
                    index=index,
                    core=0,
                    started=float(index),
                    load_time=0.1,
                    preprocess=(0.0,),
                    inference=(each,),
                    postprocess=(0.0,),
                )
                for index, each in enumerate(seconds)
            )
        }
    )


def against_base(
    candidate: Sequence[float],
    base: Sequence[float],
    limit: float = 0.05,
    copy: Sequence[float] | None = None,
) -> Verdict:
    """The verdict on a regression to the base's arm; with a copy of the reference, if told."""
    reference = arm("reference", [0.02] * len(candidate))
    evidence = Evidence(
        record=arm("candidate", candidate),
        reference=reference,
        baseline=stored(0.001),  # ten times faster: it must not matter
        base=Base("main (1a2b3c4)", arm("candidate", base)),
        control=(reference, arm("reference", copy)) if copy else None,
        pace=2.0,
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, limit, f"{limit:.0%}"),))
    return judge(budget, LATENCY, evidence, RISK, NOW)


def times(seconds: float, count: int = 14) -> list[float]:
    """Times that scatter by one percent."""
    return [seconds * SPREAD[index % 10] for index in range(count)]


def test_a_regression_to_the_base_needs_no_stored_baseline() -> None:
    """10 % slower than the base breaks 5 %, as fast as the base keeps it, and both say so."""
    broken = against_base(times(0.011), times(0.010)[::-1])
    assert broken.status is Status.FAIL
    assert "base main (1a2b3c4)" in broken.reason
    assert broken.limits[0].method == SIGNS
    assert against_base(times(0.010), times(0.010)[::-1]).status is Status.PASS


def test_without_a_base_to_compare_with_there_is_no_baseline() -> None:
    """A recipe that is new, or could not be built at the base, is NO BASELINE and says why."""
    evidence = Evidence(
        record=arm("candidate", times(0.01)),
        baseline=stored(0.01),
        base=Base("main", problem="there is no recipe 'candidate' at main"),
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.05, "5%"),))
    found = judge(budget, LATENCY, evidence, RISK, NOW)
    assert found.status is Status.NO_BASELINE
    assert "no recipe 'candidate' at main" in found.reason


def test_an_unchanged_copy_that_looks_different_forbids_every_fail() -> None:
    """The same evidence that is FAIL beside a copy that agrees is INCONCLUSIVE beside one that
    does not, with that as the reason; a PASS stays one.
    """
    agreeing = [0.02 * each for each in times(1.0)]
    different = [0.0215 * each for each in times(1.0)]
    slow, base = times(0.012), times(0.010)[::-1]
    assert against_base(slow, base, copy=agreeing).status is Status.FAIL
    found = against_base(slow, base, copy=different)
    assert found.status is Status.INCONCLUSIVE
    assert "unchanged copy" in found.reason
    assert "+7.5 %" in found.reason
    assert against_base(base, base, copy=different).status is Status.PASS


def test_what_could_not_be_decided_says_what_would_help() -> None:
    """The smallest provable change, launches and seconds to go, a base, a wider budget."""
    found = verdict(LimitKind.REGRESSION, 0.055, 0.0105, count=6)
    assert found.status is Status.INCONCLUSIVE
    assert "smallest change" in found.reason or "too few" in found.reason
    for part in ("--perf-base", "pytest-perfgate doctor", "wider budget"):
        assert part in found.next_step
    near = against_base(times(0.01045, 6), times(0.010, 6)[::-1])
    assert near.status is Status.INCONCLUSIVE
    limit = near.limits[0]
    assert limit.needed is not None
    assert limit.needed > limit.sample == 6
    assert limit.possible is not None
    assert limit.possible < limit.needed  # were the truth a little worse than it was seen to be
    assert f"--perf-seconds={math.ceil(limit.needed * 2 / 10) * 10};" in near.next_step
    assert "regression" in near.next_step  # the limit that would have been kept


def test_what_lies_on_the_limit_may_still_be_decided() -> None:
    """No number of launches is likely to, but few have not ruled out that it lies beside it."""
    pattern = (0.1, -0.1, 0.08, -0.08, 0.05, -0.05)
    on_it = [0.010 * 1.05 * math.exp(off) for off in pattern]
    found = against_base(on_it, [0.010] * 6)
    limit = found.limits[0]
    assert found.status is Status.INCONCLUSIVE
    assert limit.needed is None
    assert limit.possible is not None


ratios = st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=30)


@given(ratios, ratios, st.lists(st.floats(1.0, 3.0), min_size=30, max_size=30))
def test_no_launch_that_is_slower_turns_fail_into_pass(
    candidate: list[float], base: list[float], slower: list[float]
) -> None:
    """Each launch of the candidate slower by a factor of its own: never from FAIL to PASS."""
    count = min(len(candidate), len(base))
    mine = [0.01 * math.exp(each) for each in candidate[:count]]
    theirs = [0.01 * math.exp(each) for each in base[:count]]
    later = [each * more for each, more in zip(mine, slower, strict=False)]
    if against_base(mine, theirs).status is Status.FAIL:
        assert against_base(later, theirs).status is Status.FAIL
    if against_base(later, theirs).status is Status.PASS:
        assert against_base(mine, theirs).status is not Status.FAIL


@given(ratios, ratios, st.floats(0.001, 1000.0))
def test_units_do_not_matter(candidate: list[float], base: list[float], scale: float) -> None:
    """The same times in other units give the same verdict."""
    count = min(len(candidate), len(base))
    mine = [0.01 * math.exp(each) for each in candidate[:count]]
    theirs = [0.01 * math.exp(each) for each in base[:count]]
    one = against_base(mine, theirs)
    other = against_base([each * scale for each in mine], [each * scale for each in theirs])
    assert one.limits[0].estimate == pytest.approx(other.limits[0].estimate)
    if abs((one.limits[0].kept or 9) - 1.05) > 1e-9:
        assert one.status is other.status


@given(ratios, ratios)
def test_swapped_sides_give_the_mirrored_bounds(candidate: list[float], base: list[float]) -> None:
    """A against B and B against A: reciprocal estimate and bounds, so mirrored verdicts."""
    count = min(len(candidate), len(base))
    risk = Risk(fail=0.01)
    sides = [
        arm(name, [0.01 * math.exp(each) for each in values[:count]])
        for name, values in (("a", candidate), ("b", base))
    ]
    one = limit_bounds.against_arm(LATENCY, sides[0], sides[1], "b", risk)
    other = limit_bounds.against_arm(LATENCY, sides[1], sides[0], "a", risk)
    assert one is not None
    assert other is not None

    def mirrored(value: float) -> float:
        return 1 / value if value > 0 else math.inf

    assert (one.estimate, one.fail_low, one.fail_high, one.keep_low, one.keep_high) == (
        pytest.approx(
            (
                mirrored(other.estimate),
                mirrored(other.fail_high),
                mirrored(other.fail_low),
                mirrored(other.keep_high),
                mirrored(other.keep_low),
            )
        )
    )


@pytest.mark.parametrize(
    "noise",
    [
        lambda random, shape: 0.3 * random.standard_cauchy(size=shape),
        lambda random, shape: np.where(random.random(shape) < 0.5, -0.2, 0.2),
        lambda random, shape: np.linspace(0.01, 2, shape[1]) * random.normal(size=shape),
    ],
    ids=["cauchy", "two modes", "growing"],
)
def test_an_unchanged_tree_is_rarely_red_under_any_symmetric_noise(
    noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged after every launch up to 24, at a limit of nothing at all: red in at most alpha. How
    many launches would decide is not forecast 4,000 times.
    """
    monkeypatch.setattr(wording, "launches_needed", lambda *_, **__: None)
    random = np.random.default_rng(5)
    alpha, runs = 0.05, 100
    risk, budget = Risk(fail=alpha), Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0, "0%"),))
    red = 0
    for row in noise(random, (runs, 24)):
        mine, base = arm("candidate", 0.01 * np.exp(row)), arm("candidate", [0.01] * 24)
        for count in range(4, 25):
            evidence = Evidence(
                record=mine.model_copy(update={"launches": mine.launches[:count]}),
                base=Base("main", base),
            )
            if judge(budget, LATENCY, evidence, risk, NOW).status is Status.FAIL:
                red += 1
                break
    assert red <= stats.binom.isf(1e-4, runs, alpha)
    assert red >= 1


@pytest.mark.parametrize(
    ("against", "words"),
    [
        ("base HEAD (fc72ccf772)", "git diff fc72ccf772 shows what changed"),
        ("base fc72ccf772", "git diff fc72ccf772 shows what changed"),
        ("base this code under layers 1.0", "the packages that differ"),
        ("base HEAD (fc72ccf772) under layers 1.0", "the packages that differ"),
    ],
)
def test_the_next_step_names_the_commit_or_the_packages_of_a_base(against: str, words: str) -> None:
    """Of packages no commit tells what changed."""
    worst = LimitResult(
        kind="regression", text="0.01", status=Status.FAIL, limit=0.01, against=against, reason=""
    )
    step = next_step(worst, LATENCY, "int8", None, RISK)
    assert words in step
