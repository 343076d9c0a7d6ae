"""Few slow images beside the base: red, green, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_perfgate.metric import PERFORMANCE, TAIL
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.verdicts.evidence import FAR_ROUNDS, Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.verdicts.tail_bounds import changes_of, slow_tails

from tests.verdicts.judging import NOW

ROUNDS = 32


def arm(seed: int, count: int, *, slow: float = 1.0, factor: float = 1.0) -> RecipeRecord:
    """Launches with noise of 2 %; every twentieth round takes `slow` times as long."""
    random = np.random.default_rng(seed)
    times = 0.01 * factor * np.exp(0.02 * random.normal(size=(count, ROUNDS)))
    times *= np.where(np.arange(count * ROUNDS).reshape(times.shape) % 20 == 0, slow, 1.0)
    launches = tuple(
        Launch(
            index=index,
            core=0,
            started=float(index),
            load_time=0.1,
            preprocess=(0.0,) * ROUNDS,
            inference=tuple(row.tolist()),
            postprocess=(0.0,) * ROUNDS,
        )
        for index, row in enumerate(times)
    )
    return RecipeRecord(name="candidate", reference="candidate", launches=launches)


def times(record: RecipeRecord, factors: np.ndarray) -> RecipeRecord:
    """Every launch with each round's time multiplied by its factor (rounds,)."""
    launches = tuple(
        launch.model_copy(update={"inference": tuple(np.multiply(factors, launch.inference))})
        for launch in record.launches
    )
    return record.model_copy(update={"launches": launches})


def beside_base(now: RecipeRecord, base: RecipeRecord, metric: str, limit: float) -> Verdict:
    """The verdict on a regression to the base."""
    budget = Budget(metric, (Limit(LimitKind.REGRESSION, limit, f"{limit:.0%}"),))
    evidence = Evidence(record=now, base=Base("main (1a2b3c4)", base), pace=2.0)
    return judge(budget, PERFORMANCE[metric], evidence, Risk(0.01), NOW)


def test_one_image_in_twenty_that_takes_three_times_as_long_is_red_and_says_so() -> None:
    """A dozen launches break the tail's budget; the median's is kept by the same launches."""
    now, base = arm(1, 12, slow=3.0), arm(2, 12)
    verdict = beside_base(now, base, TAIL, 0.5)
    assert verdict.status is Status.FAIL
    assert "the slowest twentieth of the images takes" in verdict.reason
    assert "times as long; median unchanged" in verdict.reason
    (limit,) = verdict.limits
    assert limit.method == FAR_ROUNDS
    assert limit.estimate == pytest.approx(3.0, abs=0.3)
    assert limit.low == pytest.approx(1.5)
    assert beside_base(now, base, "latency_p50", 0.05).status is Status.PASS


def test_unchanged_code_is_green_after_four_launches() -> None:
    """Three are too few; a limit of nothing at all is not kept, and not broken."""
    assert beside_base(arm(1, 4), arm(2, 4), TAIL, 0.5).status is Status.PASS
    assert beside_base(arm(1, 3), arm(2, 3), TAIL, 0.5).status is Status.INCONCLUSIVE
    assert beside_base(arm(1, 30), arm(2, 30), TAIL, 0.0).status is Status.INCONCLUSIVE


def test_slow_images_within_the_limit_are_allowed() -> None:
    """Images that take 1.3 times as long keep a limit of 50 %, and break one of 10 %."""
    now, base = arm(1, 20, slow=1.3), arm(2, 20)
    assert beside_base(now, base, TAIL, 0.5).status is Status.PASS
    assert beside_base(now, base, TAIL, 0.1).status is Status.FAIL


def test_a_change_of_all_images_breaks_the_tail_too() -> None:
    """Twice as slow in all: the tail is, and the reason names the median."""
    verdict = beside_base(arm(1, 12, factor=2.0), arm(2, 12), TAIL, 0.5)
    assert verdict.status is Status.FAIL
    assert "takes 2 times as long; median +" in verdict.reason


def test_a_change_of_all_images_within_the_limit_breaks_nothing() -> None:
    """3 % in all beside a limit of 5 % are not broken, in noise that puts every fourth round beyond
    it; 30 % beside 50 % are kept, and 10 % less. Slow images among them are seen.
    """
    for factor, limit, status in (
        (1.03, 0.05, Status.INCONCLUSIVE),
        (1.3, 0.5, Status.PASS),
        (0.9, 0.05, Status.PASS),
    ):
        verdict = beside_base(arm(1, 30, factor=factor), arm(2, 30), TAIL, limit)
        assert verdict.status is status, factor
    slow = arm(1, 30, factor=1.3, slow=3.0)
    assert beside_base(slow, arm(2, 30), TAIL, 0.5).status is Status.FAIL
    assert beside_base(arm(1, 30, factor=1.1), arm(2, 30), TAIL, 0.05).status is Status.FAIL


def test_images_that_got_faster_hide_none_that_got_slower() -> None:
    """One image in ten takes three times as long, three a quarter: not kept, and said, with a
    budget and without. Faster images alone keep the budget.
    """
    base, at = arm(2, 20), np.arange(ROUNDS) % 10
    mixed = times(arm(1, 20), np.choose(at, [3, *[0.25] * 3, *[1] * 6]))
    faster = times(arm(1, 20), np.choose(at, [*[0.25] * 3, *[1] * 7]))
    verdict = beside_base(mixed, base, TAIL, 0.5)
    assert verdict.status is Status.INCONCLUSIVE
    assert "some images got faster, others slower" in verdict.reason
    (note,) = slow_tails([(mixed, base)], "main", 0.01)
    assert "some images got faster, others slower: 12.5 % of the images took longer" in note
    assert beside_base(faster, base, TAIL, 0.5).status is Status.PASS
    assert slow_tails([(faster, base)], "main", 0.01) == ()


def test_what_is_undecided_says_how_many_launches_would_do() -> None:
    """Slow images after five launches are neither proven nor ruled out; no launch in common is an
    error, not a pass.
    """
    verdict = beside_base(arm(1, 5, slow=3.0), arm(2, 5), TAIL, 0.5)
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.limits[0].possible is not None
    assert "--perf-seconds=" in verdict.next_step
    later = arm(2, 8).without(range(4))
    assert beside_base(arm(1, 4), later, TAIL, 0.5).status is Status.ERROR
    assert changes_of(arm(1, 4), later) is None


def test_slow_images_are_noted_where_no_budget_is_on_them() -> None:
    """A recipe with slow images is named with its factor, its median and its share; others not."""
    pairs = [(arm(1, 12, slow=3.0), arm(2, 12)), (arm(3, 12), arm(4, 12))]
    (note,) = slow_tails(pairs, "main (1a2b3c4)", 0.01)
    assert note.startswith("candidate beside main (1a2b3c4): the slowest twentieth of the images")
    assert "median unchanged" in note
    assert note.endswith("5.2 % of the images take longer by more than 50%")
    assert slow_tails([(arm(1, 4), arm(2, 8).without(range(4)))], "main", 0.01) == ()
