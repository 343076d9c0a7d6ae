"""A long run of requests to a real server, made short: errors, latency and memory over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TFLITE, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.soak import (
    FEWEST,
    SOAK_DRIFT,
    SOAK_ERRORS,
    SOAK_MEMORY,
    WARM_UP,
    Soak,
    SoakWindow,
)
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report import soak_tables
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.kserve import KServe, KServeOptions
from pytest_perfgate.verdicts.evidence import Evidence, Risk
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.workloads.serving_options import SOAK, ServingOptions
from pytest_perfgate.workloads.serving_soak import soak

from tests.doubles.v2_server import Mode, serving
from tests.verdicts.judging import NOW, recipe
from tests.workloads.test_serving_endpoint import MEAN

pytest.importorskip("tritonclient", reason="python -m pip install 'pytest-perfgate[serving]'")

OPTIONS = ServingOptions(scenario="server", rate=200.0, requests=10, duration="2.4 s")
REQUEST = Inputs(np.zeros((1, 3, 4, 4), np.float32))


def run(mode: Mode, change: Callable[[int], None] = lambda _: None, **more: Any) -> Soak:
    """The long run at a server; `change` is told the number of the windows that are over."""
    with serving(MEAN, mode) as url:
        artifact, terms = Artifact(TFLITE, path=Path("x")), OpenContext(1, Path())
        session = KServe().open(artifact, KServeOptions(url=url), terms)
        client = session.load_client([REQUEST])
        try:
            options = OPTIONS.model_copy(update=more)
            return soak(session, REQUEST, client, options, lambda done, _: change(done))
        finally:
            client.close()
            session.close()


def verdict(measured: Soak, metric: str, most: float) -> Verdict:
    """On a budget with an upper limit."""
    record = recipe("served", 0.01).model_copy(update={"soak": measured})
    budget = Budget(metric, (Limit(LimitKind.MAX, most, str(most)),))
    return judge(budget, SOAK[metric], Evidence(record), Risk(0.01), NOW)


def windows(sizes: Sequence[int | None]) -> Soak:
    """A run whose server held so many bytes at the ends of windows of 50 requests."""
    return Soak(
        seconds=60.0,
        windows=tuple(
            SoakWindow(begin=float(number), requests=50, errors=0, p50=0.01, memory=size)
            for number, size in enumerate(sizes)
        ),
    )


@pytest.fixture
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours of a test on its core make the generator late; that has a test of its own."""
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "")


@pytest.mark.usefixtures("never_late")
def test_a_server_that_gets_slower_is_red_and_a_steady_one_is_not() -> None:
    """Twelve times as slow in the second half: the median shows it, and no error is seen."""
    mode = Mode(delay=0.005)

    def slow_down(done: int) -> None:
        if done == (FEWEST + WARM_UP) // 2:
            mode.delay = 0.06

    measured = run(mode, slow_down)
    assert len(measured.windows) == FEWEST
    assert [window.requests for window in measured.windows] == [20] * FEWEST
    assert [window.begin for window in measured.windows][:3] == [0.0, 0.1, 0.2]
    assert verdict(measured, SOAK_DRIFT, 1.2).status is Status.FAIL
    assert verdict(measured, SOAK_ERRORS, 0).status is Status.PASS
    (table,) = soak_tables.tables(suite_of(measured))
    assert table.words[0] == "480 requests in 2.4 s, 0 errors"
    assert len(table.rows) == FEWEST
    assert table.rows[-1].memory == "not measured"
    steady = run(Mode(delay=0.005))
    assert verdict(steady, SOAK_DRIFT, 1.2).status is not Status.FAIL


@pytest.mark.usefixtures("never_late")
def test_each_request_that_fails_is_counted() -> None:
    """Whatever the workload allows of a run, and an answer that cannot be read, too."""
    measured = run(Mode(fails_every=48), errors_allowed=0.5)
    assert measured.errors == 480 // 48
    assert measured.words == "HTTP 500: the GPU has fallen off the bus"
    assert verdict(measured, SOAK_ERRORS, 9).status is Status.FAIL
    assert verdict(measured, SOAK_ERRORS, 10).status is Status.PASS
    (table,) = soak_tables.tables(suite_of(measured))
    assert table.words[0].endswith("10 errors; the first: HTTP 500: the GPU has fallen off the bus")


def test_a_server_that_has_gone_ends_the_run() -> None:
    """When no request of a window is answered, and none behind it: in the endpoint's own words."""
    with pytest.raises(RuntimeFault, match=r"requests to .* failed"):
        run(Mode(fails_every=1))


def test_windows_in_which_the_generator_was_late_have_no_latency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their errors count; with too few others there is no drift, and that is no PASS."""
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "it was late")
    measured = run(Mode())
    assert measured.late == FEWEST
    drift = verdict(measured, SOAK_DRIFT, 9.0)
    assert drift.status is Status.ERROR
    assert "24 of 24 windows have no latency" in drift.reason
    assert "pytest-perfgate doctor" in drift.next_step
    assert verdict(measured, SOAK_ERRORS, 0).status is Status.PASS
    (table,) = soak_tables.tables(suite_of(measured))
    assert "in 24 windows the load generator was late itself" in table.words[-1]


def test_a_leak_is_red_and_a_step_is_not() -> None:
    """20 kB a window of 50 requests are 400 kB per 1,000. What fills in the warm-up counts for
    nothing, one step later is within the noise, and an unknown size is no PASS.
    """
    start = [10**6, 5 * 10**6, 9 * 10**6, 10**7]
    leak = windows([*start, *(10**7 + 20_000 * (1 + number) for number in range(20))])
    assert leak.growths == (400_000.0,) * 20
    assert verdict(leak, SOAK_MEMORY, 100_000).status is Status.FAIL
    steady = windows([*start, *[10**7] * 20])
    assert verdict(steady, SOAK_MEMORY, 100_000).status is Status.PASS
    step = windows([*start, *[10**7] * 10, *[10**7 + 40_000] * 10])
    assert verdict(step, SOAK_MEMORY, 100_000).status is not Status.FAIL
    unknown = windows([*start, *[10**7] * 19, None])
    growth = verdict(unknown, SOAK_MEMORY, 10**9)
    assert growth.status is Status.ERROR
    assert "size of the server is not known" in growth.reason


def suite_of(measured: Soak) -> Any:
    """What the page reads of a suite."""
    return SimpleNamespace(recipes=[SimpleNamespace(name="served", soak=measured)])


def test_a_long_run_needs_its_length_and_a_rate() -> None:
    """Else a budget on it is an error that says what to write."""
    with pytest.raises(RuntimeFault, match="need its length") as caught:
        run(Mode(), duration=None)
    assert 'duration = "30 min"' in caught.value.valid
    with pytest.raises(ValidationError, match="duration needs scenario"):
        ServingOptions(duration="30 min")
