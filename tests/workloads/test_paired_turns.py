"""Two versions behind servers of their own, compared request by request in the same launches."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.stats.sequential import fewest
from pytest_perfgate.verdicts.evidence import Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.worker import turns
from pytest_perfgate.workloads.serving_endpoint import AtEndpoint
from pytest_perfgate.workloads.serving_options import METRICS

from tests.doubles.v2_server import Mode
from tests.verdicts.judging import NOW, recipe
from tests.workloads.test_serving_endpoint import Noted, opened

pytest.importorskip("tritonclient", reason="python -m pip install 'pytest-perfgate[serving]'")

RISK = Risk(fail=0.01)
BASE, CANDIDATE = "served@base", "served"
REQUESTS = 12  # of a turn, at 400 in a second


@contextlib.contextmanager
def works(delays: dict[str, float]) -> Iterator[dict[str, AtEndpoint]]:
    """Label to the work at a server that waits so long before each answer."""
    options = {"scenario": "server", "rate": 400.0, "requests": 10}
    with contextlib.ExitStack() as stack:
        by_label = {}
        for label, delay in delays.items():
            work = stack.enter_context(opened(Mode(delay=delay), Noted(), **options))
            work.paired = REQUESTS
            by_label[label] = work
        yield by_label


Measured = dict[str, tuple[Launch, ...]]


def launches(by_label: dict[str, AtEndpoint], count: int, first: int = 0) -> Measured:
    """What launches measure of the works, whose turns are a launch's own."""
    measured: dict[str, list[Launch]] = {label: [] for label in by_label}
    for index in range(first, first + count):
        arms: Any = [
            SimpleNamespace(
                label=label,
                cores_yardstick=False,
                pace=0.0,
                runs=1,
                paired=work.paired,
                rounds=[],
                times=[],
                pairs=[],
            )
            for label, work in by_label.items()
        ]
        plan: Any = SimpleNamespace(
            blocks=[tuple(by_label)],
            rounds=4,
            seconds=60.0,
            turns="alternate",
            paced=False,
            longest=1,
            yardstick_every=1,
            paired=tuple(by_label),
        )
        looks: Any = SimpleNamespace(look=lambda: None)
        order = random.Random(index)  # noqa: S311 - the order of a test
        turns.Turns(arms, plan, 300.0, order, lambda _: None, index).visits(looks, looks)
        for arm in arms:
            measured[arm.label].append(
                Launch(
                    index=index,
                    core=0,
                    started=float(index),
                    load_time=0.1,
                    preprocess=(),
                    inference=(),
                    postprocess=(),
                    values={"request_latency_p50": (arm.times[0][0],)},
                    pairs=tuple(arm.pairs),
                )
            )
    return {label: tuple(of_arm) for label, of_arm in measured.items()}


@pytest.fixture
def take_turn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Turns go to the works directly; gives the function that says which."""
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "")  # neighbours on the test's core
    monkeypatch.setattr(turns, "_PAIRS", 4)  # a quarter of the test's time

    def of(by_label: dict[str, AtEndpoint]) -> None:
        def turn(arm: Any, kind: bytes, number: int, _: float) -> tuple[float, ...]:
            if kind == turns.PAIR:
                return tuple(by_label[arm.label].latencies(number))
            return (0.01,)  # no run is needed here

        monkeypatch.setattr(turns, "take_turn", turn)

    return of


def verdict(measured: Measured, kind: LimitKind) -> Verdict:
    """At a budget of 2 %, beside the base or beside the reference."""
    there = recipe("reference", 0.0).model_copy(update={"launches": measured[BASE]})
    evidence = Evidence(
        record=recipe("served", 0.0).model_copy(update={"launches": measured[CANDIDATE]}),
        reference=there,
        base=Base("main (1a2b3c4)", there) if kind is LimitKind.REGRESSION else None,
    )
    budget = Budget("request_latency_p50", (Limit(kind, 0.02, "2%"),))
    return judge(budget, METRICS["request_latency_p50"], evidence, RISK, NOW)


def test_a_slower_server_is_red_and_an_unchanged_one_is_not(take_turn: Any) -> None:
    """20 ms beside 10 ms, at a budget of 2 %: beside the base and beside the reference. What a run
    takes as a whole says nothing of it.
    """
    needed = fewest(RISK.fail)
    with works({BASE: 0.01, CANDIDATE: 0.02}) as slower:
        take_turn(slower)
        measured = launches(slower, needed)
        while verdict(measured, LimitKind.REGRESSION).status is not Status.FAIL:
            # A stall of this machine in one of them asks for more.
            count = len(measured[BASE])
            assert count < 4 * needed
            more = launches(slower, 1, count)
            measured = {label: (*measured[label], *more[label]) for label in measured}
    for kind in (LimitKind.REGRESSION, LimitKind.GROWTH):
        broken = verdict(measured, kind)
        assert broken.status is Status.FAIL
        assert broken.limits[0].estimate is not None
        assert 1.3 < broken.limits[0].estimate < 2.5
    with works({BASE: 0.01, CANDIDATE: 0.01}) as unchanged:
        take_turn(unchanged)
        measured = launches(unchanged, needed)
    assert verdict(measured, LimitKind.REGRESSION).status is not Status.FAIL


def test_a_turn_in_which_the_generator_was_late_is_left_out_of_both(
    take_turn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pair has nothing to be compared with; without any pair the runs are compared."""
    with works({BASE: 0.0, CANDIDATE: 0.0}) as by_label:
        take_turn(by_label)
        late = iter(["", "late", "", "", "", "", "late", ""])
        monkeypatch.setattr(LoadRun, "too_late", lambda *_: next(late))
        measured = launches(by_label, 1)
        pairs = [of_arm[0].pairs for of_arm in measured.values()]
        assert sum(bool(one) and bool(other) for one, other in zip(*pairs, strict=True)) == 2
        assert {len(times) for side in pairs for times in side} == {0, REQUESTS}
        monkeypatch.setattr(LoadRun, "too_late", lambda *_: "late")
        broken = verdict(launches(by_label, 8), LimitKind.REGRESSION)
        assert broken.limits[0].estimate == pytest.approx(1.0)


def test_both_versions_get_the_same_requests_at_the_same_times(
    take_turn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an order that is drawn anew."""
    sent: list[tuple[str, int]] = []
    by_label: Any = {label: SimpleNamespace(paired=2) for label in (BASE, CANDIDATE)}
    take_turn(by_label)

    def turn(arm: Any, kind: bytes, number: int, _: float) -> tuple[float, ...]:
        if kind == turns.PAIR:
            sent.append((arm.label, number))
            return 0.1, 0.1
        return (0.01,)

    monkeypatch.setattr(turns, "take_turn", turn)
    launches(by_label, 8)
    numbers = [number for label, number in sent if label == BASE]
    assert numbers == [number for label, number in sent if label == CANDIDATE]
    assert len({*numbers}) == len(numbers) == 8 * 4
    first = [label for label, _ in sent[::2]]
    assert 4 < first.count(BASE) < 28
