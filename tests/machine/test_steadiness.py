"""Which launches are disturbed, and how many of them may be left out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.machine import steadiness
from pytest_perfgate.machine.conditions import Conditions, DeviceConditions
from pytest_perfgate.machine.steadiness import discards, mark, notes, severity, unsteady

shares = st.none() | st.floats(0, 1)
counts = st.none() | st.integers(0, 10_000)
FIELDS = {
    "stolen": shares,
    "others": shares,
    "waited": shares,
    "swapped_in": counts,
    "swapped_out": counts,
    "major_faults": counts,
    "throttle_events": counts,
    "quota_stopped": shares,
    "memory_pressure": shares,
}
seen = st.builds(Conditions, **FIELDS)
many = st.lists(seen, max_size=30).map(
    lambda result: [launch.model_copy(update={"index": i}) for i, launch in enumerate(result)]
)


def launches(*stolen: float | None) -> list[Conditions]:
    """Launches of which only the stolen share is known."""
    return [Conditions(index=index, stolen=share) for index, share in enumerate(stolen)]


@pytest.mark.parametrize(
    ("fine", "rough", "word"),
    [
        ({"stolen": 0.05}, {"stolen": 0.06}, "hypervisor gave 6.0 %"),
        ({"others": 0.10}, {"others": 0.30}, "other processes used 30.0 %"),
        ({"waited": 0.10}, {"waited": 0.11}, "waited 11.0 % of the time for its core"),
        ({"swapped_in": 256}, {"swapped_in": 200, "swapped_out": 57}, "swapped 257 pages"),
        ({"major_faults": 100}, {"major_faults": 101}, "101 page faults"),
        ({"quota_stopped": 0.05}, {"quota_stopped": 0.5}, "quota stopped it 50.0 %"),
        ({"memory_pressure": 0.05}, {"memory_pressure": 0.2}, "20.0 % of the time for memory"),
        ({"throttle_events": 0}, {"throttle_events": 1}, "slowed down 1 times"),
        (
            {"frequency_lowest": 2.5e9, "frequency_mean": 3e9},
            {"frequency_lowest": 2.1e9, "frequency_mean": 3e9},
            "fell 30.0 % below its mean",
        ),
    ],
)
def test_each_condition_has_a_threshold_and_words(
    fine: dict[str, float], rough: dict[str, float], word: str
) -> None:
    """At the threshold a launch is steady; beyond it the reason says what and how much."""
    assert unsteady(Conditions(**fine)) == ""
    assert word in unsteady(Conditions(**rough))


def test_what_is_only_for_information_disturbs_nothing() -> None:
    """Pressure on other cores, and what was not measured, is no reason."""
    assert unsteady(Conditions(cpu_pressure=1.0, quota_stops=3)) == ""
    assert severity(Conditions()) == 0.0


def test_the_worst_reason_comes_first() -> None:
    """Several reasons are all said."""
    reason = unsteady(Conditions(stolen=0.06, others=0.9))
    assert reason.index("other processes") < reason.index("hypervisor")


@pytest.mark.parametrize(
    ("bad", "total", "gone"), [(3, 4, 0), (3, 5, 1), (3, 8, 2), (3, 12, 3), (12, 12, 3), (1, 40, 1)]
)
def test_few_may_go_and_four_must_stay(bad: int, total: int, gone: int) -> None:
    """A quarter of the launches at most, and never so that fewer than four are left."""
    result = discards(launches(*[0.5] * bad, *[0.0] * (total - bad)))
    assert len(result) == gone


def test_the_worst_go_first_and_each_has_its_reason() -> None:
    """Of five bad ones in twelve the three worst are left out."""
    result = discards(launches(0, 0.2, 0, 0.9, 0.3, 0, 0.4, 0.1, 0, 0, 0, 0))
    assert sorted(result) == [3, 4, 6]
    assert "90.0 %" in result[3]


@given(conditions=many, seed=st.integers(0, 99))
def test_laws_of_leaving_out(conditions: list[Conditions], seed: int) -> None:
    """The cap holds, only unsteady launches go, and the order of the launches does not matter."""
    result = discards(conditions)
    count = len(conditions)
    assert len(result) <= count * steadiness.LARGEST_SHARE
    assert not result or count - len(result) >= steadiness.FEWEST_LEFT
    by_index = {condition.index: condition for condition in conditions}
    for index, reason in result.items():
        assert reason
        assert reason == unsteady(by_index[index])
    kept = [condition for condition in conditions if condition.index not in result]
    if result:
        assert min(severity(by_index[index]) for index in result) >= max(map(severity, kept))
    shuffled = random.Random(seed).sample(conditions, count)  # noqa: S311 - an order, no secret
    assert discards(shuffled) == result
    assert notes(shuffled) == notes(conditions)


@given(
    conditions=many.filter(bool),
    which=st.integers(0, 29),
    field=st.sampled_from(sorted(FIELDS)),
    more=st.integers(1, 100),
)
def test_a_worse_condition_never_makes_a_launch_more_trusted(
    conditions: list[Conditions], which: int, field: str, more: int
) -> None:
    """Raising any one value keeps an unsteady launch unsteady, and one that is out stays out."""
    at = which % len(conditions)
    before = conditions[at]
    value = getattr(before, field) or 0
    worse = value + more if isinstance(value, int) else min(1.0, value + more / 100)
    after = before.model_copy(update={field: worse})
    assert severity(after) >= severity(before)
    assert unsteady(after) or not unsteady(before)
    changed = [*conditions[:at], after, *conditions[at + 1 :]]
    assert before.index not in discards(conditions) or before.index in discards(changed)


def test_marking_fills_in_the_reason_and_nothing_else() -> None:
    """The same launches in the same order, the worst marked."""
    before = launches(0.9, 0, 0, 0, 0)
    after = mark(before)
    assert [bool(launch.discarded) for launch in after] == [True, False, False, False, False]
    assert [launch.model_copy(update={"discarded": ""}) for launch in after] == before


def test_notes_say_what_was_seen() -> None:
    """How many launches, which, how bad, what was left out; nothing of a steady session."""
    steady = [Conditions(index=index, others=0.0, stolen=0.0) for index in range(5)]
    assert notes(steady) == ()
    assert notes([]) == ()
    rough = mark(
        [
            Conditions(index=0, others=0.5, frequency_mean=3e9, frequency_lowest=3e9),
            Conditions(index=1, others=0.2, frequency_mean=2e9, frequency_lowest=2e9),
            *steady[2:],
        ]
    )
    text = "\n".join(notes(rough))
    assert "2 of 5 launches" in text
    assert "launches 0, 1, at most: other processes used 50.0 %" in text
    assert "2.00 GHz in one launch and at 3.00" in text
    assert "launch 0 does not count: other processes" in text
    assert "could not be measured" in "\n".join(notes([Conditions()]))


def test_a_throttled_gpu_is_a_cause_and_what_is_not_told_is_none() -> None:
    """In more than a quarter of the readings; no reading is no excuse and no accusation."""

    def seen(share: float | None) -> Conditions:
        return Conditions(devices=(DeviceConditions(throttled=share), DeviceConditions()))

    assert "the GPU was throttled in 40.0 %" in steadiness.unsteady(seen(0.4))
    assert steadiness.unsteady(seen(0.2)) == ""
    assert steadiness.unsteady(seen(None)) == ""


def test_launches_on_a_throttled_gpu_are_left_out_with_a_cap() -> None:
    """A quarter of them at the most, the worst first, and they are named."""
    conditions = [
        Conditions(index=index, devices=(DeviceConditions(throttled=share),))
        for index, share in enumerate((0.0, 0.9, 0.5, 0.0, 0.6, 0.0, 0.0, 0.0))
    ]
    assert steadiness.discards(conditions).keys() == {1, 4}


def test_what_else_was_seen_of_a_gpu_is_told() -> None:
    """A device that NVML says nothing of, others on it, and that it is divided."""
    silent = DeviceConditions(uuid="GPU-1", problem="nvidia-ml-py is not installed")
    busy = DeviceConditions(uuid="GPU-2", others=2, mig=True)
    lines = steadiness.notes([Conditions(waited=0.0, devices=(silent, busy))])
    assert "the GPU GPU-1 could not be read: nvidia-ml-py is not installed" in lines
    assert "2 other processes were on the GPU" in lines
    assert any("MIG" in line for line in lines)


def test_a_machine_is_loud_when_most_of_four_launches_and_more_are_unsteady() -> None:
    """Half of them is not most, and three launches say nothing."""

    def launches(rough: int, calm: int) -> list[Conditions]:
        shares = [0.5] * rough + [0.0] * calm
        return [Conditions(index=index, others=share) for index, share in enumerate(shares)]

    assert steadiness.loud(launches(3, 0)) == ""
    assert steadiness.loud(launches(3, 3)) == ""
    assert steadiness.loud(launches(4, 3)).startswith("4 of 7 launches were unsteady (other")
