"""The turns of a launch: what the session hears of them meanwhile."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.worker import turns
from pytest_perfgate.worker.protocol import WorkProgress
from pytest_perfgate.workloads.varied_images import ROUNDS


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
        SimpleNamespace(label=str(number), cores_yardstick=False, pace=1.0, rounds=[], times=[])
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
