"""One number per launch and metric, from the samples of one arm or of two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.launch_values import (
    launch_ratio,
    launch_value,
    launch_values,
    quantile,
)
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Change, Verdict

TIMES = st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=40)


def arm(times: Sequence[float], rounds: Sequence[int] = ()) -> Launch:
    """A launch of an arm whose inferences took these times."""
    none = (0.0,) * len(times)
    return Launch(
        index=0,
        core=0,
        started=0.0,
        load_time=0.1,
        preprocess=none,
        inference=tuple(times),
        postprocess=none,
        rounds=tuple(rounds),
    )


@given(samples=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), q=st.floats(0, 1))
def test_quantiles_are_numpys_and_never_outside_the_samples(samples: list[float], q: float) -> None:
    """Linear between order statistics, numpy's default."""
    value = quantile(samples, q)
    assert value == pytest.approx(np.quantile(samples, q), rel=1e-9, abs=1e-6)
    assert min(samples) <= value <= max(samples)


def test_only_rounds_that_both_arms_took_part_in_are_compared() -> None:
    """The reference was in other rounds too, when everything took ten times as long."""
    slow = arm([2.0, 2.0, 2.0], [4, 5, 6])
    reference = arm([10.0] * 4 + [1.0] * 3, [0, 1, 2, 3, 4, 5, 6])
    for metric in ("latency_p50", "latency_p95", "inference_p50"):
        assert launch_ratio(slow, reference, metric) == pytest.approx(math.log(2))


def test_arms_that_never_met_are_not_compared() -> None:
    """No round in common: not measured, rather than a ratio of two different times."""
    assert launch_ratio(arm([1.0], [0]), arm([1.0], [1]), "latency_p50") is None
    assert launch_ratio(arm([1.0], [0]), arm([1.0], [1]), "latency_p95") is None


def test_peaks_of_memory_are_those_of_launches_that_ran_a_batch() -> None:
    """A launch without one needs less, and says nothing of what the rest need."""

    def launch(index: int, peak: int, *batches: float) -> Launch:
        found = {"index": index, "peak_memory": peak, "batches": batches, "batch_size": 8}
        return arm([0.1]).model_copy(update=found)

    metric = PERFORMANCE["peak_memory"]
    mixed = RecipeRecord(
        name="r", reference="r", launches=(launch(0, 90, 0.5), launch(1, 40), launch(2, 80, 0.5))
    )
    assert launch_values(mixed, metric) == {0: 90.0, 2: 80.0}
    none = RecipeRecord(name="r", reference="r", launches=(launch(0, 40), launch(1, 50)))
    assert launch_values(none, metric) == {0: 40.0, 1: 50.0}


@pytest.mark.parametrize(
    ("ran", "ratio"), [(((0.5,), 8), math.log(2)), (((), 8), None), (((0.5,), 4), None)]
)
def test_peaks_beside_other_batches_are_not_compared(
    ran: tuple[tuple[float, ...], int], ratio: float | None
) -> None:
    """One arm ran batches of 8; the other the same, none, or smaller ones."""
    batches, size = ran
    ours = arm([0.1]).model_copy(update={"peak_memory": 80, "batches": (0.5,), "batch_size": 8})
    theirs = arm([0.1]).model_copy(
        update={"peak_memory": 40, "batches": batches, "batch_size": size}
    )
    assert launch_ratio(ours, theirs, "peak_memory") == (ratio and pytest.approx(ratio))


@given(TIMES, TIMES, st.sampled_from(["latency_p50", "latency_p95"]))
def test_swapped_arms_give_the_mirrored_ratio(
    mine: list[float], theirs: list[float], metric: str
) -> None:
    """log(a / b) is -log(b / a), whatever the samples are."""
    count = min(len(mine), len(theirs))
    there = launch_ratio(arm(mine[:count]), arm(theirs[:count]), metric)
    back = launch_ratio(arm(theirs[:count]), arm(mine[:count]), metric)
    assert there == pytest.approx(-(back or 0.0), abs=1e-12)


@given(TIMES)
def test_a_disturbance_of_both_arms_cancels(times: list[float]) -> None:
    """Whatever the machine did to a round, an arm that takes 5 % longer is seen to do so."""
    found = launch_ratio(arm([1.05 * time for time in times]), arm(times), "latency_p50")
    assert found == pytest.approx(math.log(1.05))


def stretches(*rounds: Sequence[float], numbers: Sequence[int] = ()) -> Launch:
    """A launch of an arm with several times in each round."""
    values = {"replica_latency": tuple(each for times in rounds for each in times)}
    return arm([], numbers or range(len(rounds))).model_copy(update={"values": values})


def test_several_values_of_a_round_are_one_sample_of_tails_and_one_pair_of_medians() -> None:
    """The 99th percentile is of all of them; medians are compared round by round, also with
    another number of values in the other arm.
    """
    mine = stretches([1.0, 2.0, 9.0], [2.0, 4.0, 6.0], [8.0, 8.0, 8.0], numbers=[0, 2, 3])
    other = stretches([1.0, 1.0], [5.0, 5.0], [2.0, 2.0], numbers=[0, 1, 2])
    assert launch_value(mine, "replica_latency_p50") == 6.0
    assert launch_value(mine, "replica_latency_p99") == pytest.approx(8.92)
    # Rounds 0 and 2: 2 beside 1, and 4 beside 2.
    assert launch_ratio(mine, other, "replica_latency_p50") == pytest.approx(math.log(2))
    assert launch_ratio(mine, other, "replica_latency_p95") == pytest.approx(math.log(8.25 / 2.0))
    with pytest.raises(ValueError, match="8 samples of 3 rounds"):
        launch_ratio(stretches([1.0] * 8, numbers=[0, 1, 2]), other, "replica_latency_p50")


def test_columns_that_do_not_belong_together_are_refused() -> None:
    """A launch from a damaged file, before anything computes with it."""
    whole = arm([0.1, 0.2, 0.3, 0.4], [0, 1]).model_dump()
    assert Launch.model_validate(whole)
    for change, words in (
        ({"preprocess": [0.0]}, "different numbers of inferences"),
        ({"rounds": [0, 1, 2]}, "4 samples of 3 rounds"),
        ({"values": {"step": [0.1] * 3}}, "3 samples of 2 rounds"),
    ):
        with pytest.raises(ValueError, match=words):
            Launch.model_validate(whole | change)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Change, "Input should be 's', 'B', "), (Verdict, "'furlongs' is not a valid Unit")],
)
def test_a_unit_that_nobody_knows_is_refused(
    kind: type[Change] | type[Verdict], words: str
) -> None:
    """Pages and terminals show values in it."""
    fields = {"recipe": "a", "metric": "b", "kind": "create", "before": None, "after": 1.0}
    fields |= {"status": "PASS", "reason": "c", "unit": "furlongs"}
    known = {name: value for name, value in fields.items() if name in kind.model_fields}
    with pytest.raises(ValueError, match=words):
        kind.model_validate(known)
    assert kind.model_validate(known | {"unit": "s"}).unit == "s"
