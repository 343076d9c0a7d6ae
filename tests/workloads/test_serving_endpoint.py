"""The workload `serving` behind an endpoint, on a real server of the protocol."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import TFLITE, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.load.open_loop import Watch
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.kserve import KServe, KServeOptions
from pytest_perfgate.runtimes.kserve_session import KServeSession
from pytest_perfgate.stats.max_rate import RateInterval, keeps
from pytest_perfgate.workloads import WorkContext, serving_endpoint
from pytest_perfgate.workloads.serving import Serving
from pytest_perfgate.workloads.serving_endpoint import AtEndpoint
from pytest_perfgate.workloads.serving_options import ServingOptions

from tests.doubles.v2_server import Mode, Model, serving

pytest.importorskip("tritonclient", reason="python -m pip install 'pytest-perfgate[serving]'")

DELAY = 0.004
MEAN = Model(
    {"image": ("FP32", [-1, 3, 4, 4])},
    {"mean": ("FP32", [-1])},
    lambda given: {"mean": given["image"].mean(axis=(1, 2, 3))},
)


class Pixels:
    """A pipeline: images as floats."""

    def preprocess(self, images: Any) -> tuple[Any, Any]:
        """(N, 3, 4, 4)."""
        return Inputs(np.stack(images).astype(np.float32).transpose(0, 3, 1, 2)), None


class Noted:
    """A check of outputs that notes what it is shown."""

    def __init__(self) -> None:
        self.shown: dict[tuple[int | None, ...], list[float]] = {}

    def inspect_shown(self, positions: Any, outputs: Any) -> None:
        """Notes the outputs of images."""
        self.shown[tuple(positions)] = outputs[0].tolist()


@contextmanager
def opened(mode: Mode, check: Any, **options: Any) -> Iterator[AtEndpoint]:
    """The work at a server of its own."""
    artifact, terms = Artifact(TFLITE, path=Path("x")), OpenContext(1, Path())
    with serving(MEAN, mode) as url:
        context = WorkContext(
            session=lambda: KServe().open(artifact, KServeOptions(url=url), terms),
            module=lambda: None,
            pipeline=Pixels(),  # type: ignore[arg-type] # as much of one as is used
            images=[np.full((4, 4, 3), index, np.uint8) for index in range(5)],
            data=lambda _: None,
            trainer=lambda: lambda: None,
            batch=8,
            threads=1,
            flush=lambda _: None,
            endpoint=True,
            check=check,
        )
        work = Serving().open(ServingOptions(**options), context)
        assert isinstance(work, AtEndpoint)
        try:
            yield work
        finally:
            work.session.close()


@contextmanager
def measured(mode: Mode, **options: Any) -> Iterator[tuple[AtEndpoint, dict[str, float], Noted]]:
    """The work, the values of its first run by their names, and what was checked."""
    check = Noted()
    with opened(mode, check, **options) as work:
        yield work, dict(zip(work.columns, work.sample(0), strict=True)), check


@pytest.fixture
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours of a test on its core make the generator late; that has a test of its own."""
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "")
    monkeypatch.setattr(Watch, "is_late", False)


@pytest.mark.usefixtures("never_late")
def test_each_scenario_measures_and_its_answers_are_checked() -> None:
    """Outputs belong to the images that were sent, in groups where a request has several."""
    with measured(Mode(delay=DELAY), requests=10) as (work, values, check):
        assert values["request_latency_p50"] >= DELAY
        assert values["request_throughput"] <= 1 / DELAY
        assert values["time_to_first_response"] >= DELAY
        assert work.facts["load generator"] == "pytest-perfgate, open loop"
        assert check.shown == {(0,): [0], (1,): [1], (2,): [2], (3,): [3]}
    with measured(Mode(delay=DELAY), scenario="multi_stream", samples_per_query=3, requests=10) as (
        _,
        values,
        check,
    ):
        assert values["request_latency_p50"] >= DELAY
        assert check.shown[(3, 4, 0)] == [3, 4, 0]
    with measured(Mode(delay=DELAY), scenario="server", rate=100.0, requests=100) as (_, values, _):
        assert values["request_latency_p99"] >= values["request_latency_p50"] >= DELAY
        assert not math.isnan(values["queue_time_p99"])
        assert values["request_throughput"] < 150
    with measured(Mode(delay=DELAY), scenario="offline", batch_size=2, requests=20) as (
        _,
        values,
        check,
    ):
        assert values["request_throughput"] > 0
        # Answers of requests that were sent at once come in any order, and the first are checked.
        assert 2 <= len(check.shown) <= 4
        assert all([*images] == outputs for images, outputs in check.shown.items())
        assert {len(images) for images in check.shown} == {2}


@pytest.mark.usefixtures("never_late")
def test_replicas_get_the_load_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests arrive twice as often where there are two. An endpoint that has one in truth is
    overloaded, and the tail shows it; rates are of all, and of each.
    """
    monkeypatch.setattr(serving_endpoint, "find_max_rate", lambda *_: RateInterval(80.0, 90.0))
    options: dict[str, Any] = {"scenario": "server", "rate": 40.0, "replicas": 2, "requests": 60}
    search: dict[str, Any] = {"find_max_rate": True, "latency_limit": "1 s"}
    with measured(Mode(delay=0.02, replicas=2), **options, **search) as (work, two, _):
        assert work.facts["replicas"] == "2"
        assert two["max_rate"] == 80.0
        assert two["max_rate_per_replica"] == 40.0
    with measured(Mode(delay=0.02, replicas=1), **options) as (_, one, _):
        assert one["request_latency_p90"] > 2 * two["request_latency_p90"]
        assert "max_rate_per_replica" not in one


def test_one_process_has_no_replicas() -> None:
    """A rate that it cannot share is no load of each."""
    with pytest.raises(RuntimeFault, match="runs in this process, once") as caught:
        Serving().open(
            ServingOptions(scenario="server", rate=5.0, replicas=2),
            SimpleNamespace(endpoint=False),  # type: ignore[arg-type] # it is asked nothing else
        )
    assert caught.value.where == "workload.replicas"


@pytest.mark.usefixtures("never_late")
def test_failures_are_an_error_unless_they_are_allowed() -> None:
    """500 for some: the number, the endpoint's words, and what to do."""
    with (
        pytest.raises(RuntimeFault, match="HTTP 500: the GPU has fallen") as caught,
        measured(Mode(fails_every=35), requests=40),
    ):
        pass
    assert "2 of 40 requests failed" in caught.value.problem
    assert "errors_allowed = 0.06" in caught.value.next_step
    with measured(Mode(fails_every=35), requests=40, errors_allowed=0.1) as (_, values, _):
        assert values["error_rate"] == pytest.approx(2 / 40)


def test_a_late_run_is_repeated_at_other_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests that are due at once are so again, at the same times. Who waits for the values
    hears how many runs were repeated, and why.
    """
    schedules: list[tuple[float, ...]] = []
    arrivals = serving_endpoint.poisson_arrivals

    def noted(rate: float, count: int, seed: int) -> Any:
        schedule = arrivals(rate, count, seed)
        schedules.append(tuple(schedule))
        return schedule

    monkeypatch.setattr(serving_endpoint, "poisson_arrivals", noted)
    monkeypatch.setattr(Watch, "is_late", False)
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "" if len(schedules) > 2 else "it was late")
    with measured(Mode(), scenario="server", rate=200.0, requests=10) as (work, values, _):
        assert not math.isnan(values["request_latency_p50"])
        assert work.repeated == (2, "it was late")
        assert len({*schedules}) == len(schedules) == 3


def test_a_late_generator_measures_nothing_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five tries; nor an error rate. The reason is given."""
    tries: list[float | None] = []
    monkeypatch.setattr(LoadRun, "too_late", lambda _, limit: tries.append(limit) or "it was late")
    options = {"scenario": "server", "rate": 200.0, "requests": 10, "latency_limit": "20 ms"}
    with measured(Mode(), **options) as (work, values, _):
        assert math.isnan(values["request_latency_p50"])
        assert math.isnan(values["request_throughput"])
        assert math.isnan(values["error_rate"])
        assert values["time_to_first_response"] > 0
        assert work.unmeasured["error_rate"].startswith("it was late, in each of 5 runs; ")
        assert work.unmeasured["request_latency_p50"].startswith("it was late, in each of 5 runs; ")
        assert tries == [0.02] * 5
        assert work.repeated[0] == 4


def test_a_late_run_ends_when_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of 100 requests that were late are too many: the others are not sent."""
    monkeypatch.setattr(serving_endpoint, "allowed_lag", lambda _: -1.0)
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "it was late")
    mode = Mode()
    with measured(mode, scenario="server", rate=200.0, requests=100):
        assert mode.count < 1 + 30 + 5 * 30


@pytest.mark.usefixtures("never_late")
def test_a_rate_whose_answers_cannot_be_read_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overloaded service that is quick to send a part of an answer, with the status 200."""
    mode = Mode()
    options = {"scenario": "server", "requests": 10, "latency_limit": "5 s"}
    # The first run of the search alone: others would overload the test's own server.
    monkeypatch.setattr(
        serving_endpoint, "find_max_rate", lambda run, start, *_: keeps(*run(start, (0, 0)))
    )
    with measured(mode, rate=400.0, **options) as (work, _, _):
        assert work._find_max_rate(400.0) is True
        (run,) = work.rates
        assert (run.rate, run.slow, run.requests) == (400.0, 0, 300)
        assert run.p99 >= run.p50 > 0
        mode.short = 4
        assert work._find_max_rate(400.0) is False


@pytest.mark.usefixtures("never_late")
def test_a_search_does_not_wait_for_the_rest_of_what_is_proven() -> None:
    """Of 300 requests eight that are slow prove it: the others are not sent."""
    mode = Mode()
    options = {"scenario": "server", "requests": 10, "latency_limit": "20 ms", "search_runs": 4}
    with measured(mode, rate=400.0, **options) as (work, _, _):
        mode.delay, mode.count = 0.05, 0
        assert work._find_max_rate(400.0).kept is None
        assert mode.count < 4 * 100
        assert [run.p99 for run in work.rates] == [None] * 4  # of their begin alone


def test_a_search_in_which_the_generator_was_late_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says nothing of the service."""
    monkeypatch.setattr(LoadRun, "too_late", lambda *_: "it was late")
    monkeypatch.setattr(Watch, "is_late", True)
    server = {"scenario": "server", "rate": 200.0, "requests": 10, "latency_limit": "2 s"}
    with measured(Mode(), **server, find_max_rate=True, search_runs=4) as (work, values, _):
        assert math.isnan(values["max_rate"])
        assert "late itself in 4 runs of the search" in work.unmeasured["max_rate"]
        assert "doctor" in work.unmeasured["max_rate_upper"]


def test_pre_processing_is_no_part_of_the_first_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock runs from where the session begins to open: all images are ready by then."""
    events: list[str] = []
    preprocess, opens = Pixels.preprocess, KServeSession.__init__
    monkeypatch.setattr(
        Pixels, "preprocess", lambda *given: events.append("image") or preprocess(*given)
    )
    monkeypatch.setattr(
        KServeSession, "__init__", lambda *given: events.append("session") or opens(*given)
    )
    with measured(Mode(), requests=10):
        assert events[:6] == ["image"] * 5 + ["session"]


@pytest.mark.usefixtures("never_late")
def test_a_server_that_keeps_its_answers_is_an_error() -> None:
    """Requests come round to the same images: its memory would be timed. A slow server is fine."""
    with measured(Mode(delay=DELAY), requests=10) as (_, values, _):
        assert values["request_latency_p50"] > DELAY
    with (
        pytest.raises(RuntimeFault, match="answers are kept by their inputs"),
        measured(Mode(delay=20 * DELAY, keeps=True), requests=10),
    ):
        pass


def test_a_session_that_changes_requests_is_refused() -> None:
    """Tiles, or a planted fault: the requests would go without."""
    context = WorkContext(
        session=object,  # type: ignore[arg-type,return-value] # no endpoint
        module=lambda: None,
        pipeline=Pixels(),  # type: ignore[arg-type] # not used
        images=[],
        data=lambda _: None,
        trainer=lambda: lambda: None,
        batch=1,
        threads=1,
        flush=lambda _: None,
        endpoint=True,
    )
    with pytest.raises(RuntimeFault, match="tiles"):
        Serving().open(ServingOptions(), context)


def test_a_server_on_the_generators_core_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One would be timed with the other."""
    monkeypatch.setattr(KServeSession, "apart", False)
    with pytest.raises(RuntimeFault, match="share a core"), measured(Mode()):
        pass
