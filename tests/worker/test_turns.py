"""The turns of a launch: what the session hears of them meanwhile."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.worker import turns
from pytest_perfgate.worker.protocol import WorkProgress
from pytest_perfgate.workloads.varied_images import ROUNDS, WARM_UP


def test_a_visit_of_slow_turns_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing for minutes counts as hung, and five turns of nine arms may take so long."""
    now = [0.0]
    heard: list[tuple[float, WorkProgress]] = []

    def takes_a_turn(*_: Any) -> list[float]:
        now[0] += 12.0
        return [12.0]

    monkeypatch.setattr(turns, "take_turn", takes_a_turn)
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    arms: Any = [
        SimpleNamespace(
            label=str(number), cores_yardstick=False, pace=1.0, runs=0, rounds=[], times=[]
        )
        for number in range(9)
    ]
    plan: Any = SimpleNamespace(
        blocks=[[arm.label for arm in arms]],
        rounds=ROUNDS,
        seconds=1.0,
        turns="alternate",
        paced=False,
        longest=1,
        yardstick_every=1,
    )
    looks: Any = SimpleNamespace(look=lambda: None)
    visits = turns.Turns(
        arms,
        plan,
        300.0,
        random.Random(0),  # noqa: S311 - the order of a test
        lambda message: heard.append((now[0], message)),
        0,
    )
    visits.visits(looks, looks)
    assert now[0] == 9 * (ROUNDS + 1) * 12.0
    times = [0.0, *(at for at, _ in heard)]
    assert max(later - at for at, later in itertools.pairwise(times)) <= 24.0
    assert [(one.done, one.total) for _, one in heard][-2:] == [(0, 1), (1, 1)]


def test_runs_are_few_and_an_arm_of_several_blocks_has_them_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a turn that is not timed; what is compared has rounds of the same number. Blocks
    without runs have their visits as ever.
    """
    requested: list[tuple[str, int]] = []
    monkeypatch.setattr(
        turns,
        "take_turn",
        lambda arm, _, number, __: requested.append((arm.label, number)) or [1.0],
    )
    arms: Any = [
        SimpleNamespace(
            label=label, cores_yardstick=False, pace=0.0, runs=runs, paired=0, rounds=[], times=[]
        )
        for label, runs in (("images", 0), ("a", 1), ("b", 1), ("c", 1), ("alone", 2))
    ]
    plan: Any = SimpleNamespace(
        blocks=[("images",), ("a", "b"), ("c", "b"), ("alone",)],
        rounds=3 * ROUNDS,
        seconds=60.0,
        turns="alternate",
        paced=False,
        longest=1,
        yardstick_every=1,
    )
    looks: Any = SimpleNamespace(look=lambda: None)
    order = random.Random(1)  # noqa: S311 - the order of a test
    spans = turns.Turns(arms, plan, 300.0, order, lambda _: None, 3).visits(looks, looks)
    images, a, b, c, alone = arms
    assert len(images.rounds) == 3 * ROUNDS
    assert a.rounds == b.rounds == c.rounds
    assert (len(a.rounds), len(alone.rounds)) == (1, 2)
    numbers = [number for number, _, _ in spans]
    assert len({*numbers}) == len(numbers)
    for label in "abc":
        (warm_up, timed) = [number for name, number in requested if name == label]
        assert warm_up >= WARM_UP > timed
    at = requested.index(("b", b.rounds[0]))
    assert requested[at - 1][0] == "b"  # no other arm's run between
