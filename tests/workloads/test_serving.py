"""The workload `serving` in process: MLPerf LoadGen on a session that sleeps."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.stats.max_rate import RateInterval
from pytest_perfgate.suite.reading import read
from pytest_perfgate.workloads import WorkContext, loadgen
from pytest_perfgate.workloads.serving import Serving
from pytest_perfgate.workloads.serving_in_process import InProcess
from pytest_perfgate.workloads.serving_options import ServingOptions

pytest.importorskip("mlperf_loadgen", reason="python -m pip install 'pytest-perfgate[serving]'")

SLEEP = 0.004


class Sleeps:
    """A session and its pipeline; an inference takes `SLEEP`, whatever its batch.

    Args:
        fails_every: every so many inferences raise; 0: none.
        fixed_batch: as of a session.
        fails_from: this request of the test and all behind it raise; 0: none.
    """

    def __init__(self, fails_every: int = 0, fixed_batch: int = 0, fails_from: int = 0) -> None:
        self.facts = {"provider": "sleep"}
        self.fixed_batch = fixed_batch
        self._fails_every = fails_every
        self._fails_from = fails_from
        self._count = 0

    def preprocess(self, images: Any) -> tuple[Any, Any]:
        """The images, as floats."""
        return Inputs(np.stack(images).astype(np.float32).transpose(0, 3, 1, 2)), None

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """The mean of each image."""
        self._count += 1
        if self._fails_every and self._count > 31 and self._count % self._fails_every == 0:
            raise RuntimeError("the cable is loose")
        if self._fails_from and self._count >= 31 + self._fails_from:
            raise RuntimeError("the cable is loose")
        time.sleep(SLEEP)
        return (inputs.images.mean(axis=(1, 2, 3)),)


def opened(session: Sleeps | None = None, **options: Any) -> tuple[Any, dict[str, float]]:
    """The work, and the values of its first run by their names."""
    one = session or Sleeps()
    context = WorkContext(
        session=lambda: one,  # type: ignore[arg-type,return-value] # as much of one as is used
        module=lambda: None,
        pipeline=one,  # type: ignore[arg-type] # the same
        images=[np.full((4, 4, 3), index, np.uint8) for index in range(6)],
        data=lambda _: None,
        trainer=lambda: lambda: None,
        batch=8,
        threads=1,
        flush=lambda _: None,
        grown=lambda: lambda: 1_000,
        silence=20.0,
    )
    work = Serving().open(ServingOptions(**options), context)
    return work, dict(zip(work.columns, work.sample(0), strict=True))


def test_single_stream_has_the_latency_of_a_request_alone() -> None:
    """Nothing waits; percentiles with too few requests behind them are not measured."""
    work, values = opened(requests=20)
    assert values["request_latency_p50"] >= SLEEP
    assert values["request_latency_p50"] <= values["request_latency_p90"]
    assert math.isnan(values["request_latency_p99"])
    assert math.isnan(values["queue_time_p99"])
    assert values["request_throughput"] <= 1 / SLEEP
    assert values["error_rate"] == 0.0
    assert values["time_to_first_response"] >= SLEEP
    assert work.facts["scenario"] == "single_stream"
    assert work.facts["load generator"].startswith("MLPerf LoadGen ")
    assert "max_rate" not in work.columns
    assert work.peak_memory() == 1_000
    assert "20 requests, and this percentile needs 100" in work.unmeasured["request_latency_p99"]
    assert work.unmeasured["max_rate"].endswith("; workload.find_max_rate = true")


def test_server_makes_requests_wait_for_each_other() -> None:
    """At three quarters of what the service can do, one in a hundred waits for others."""
    _, values = opened(scenario="server", rate=0.75 / SLEEP, requests=150)
    assert values["queue_time_p99"] > SLEEP / 2
    assert values["request_latency_p99"] > values["request_latency_p50"] + SLEEP / 2
    assert values["request_throughput"] < 1 / SLEEP


def test_a_query_of_multi_stream_is_one_inference_and_offline_takes_batches() -> None:
    """Images per second are counted, not queries."""
    _, values = opened(scenario="multi_stream", samples_per_query=4, requests=10)
    assert values["request_latency_p50"] >= SLEEP
    assert 1 / SLEEP < values["request_throughput"] <= 4 / SLEEP
    _, values = opened(scenario="offline", batch_size=4, requests=40)
    assert 1 / SLEEP < values["request_throughput"] <= 4 / SLEEP


def test_the_search_for_the_highest_rate_ends_with_what_was_proven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rates reach the run's values; the search itself is tested with the queue's formula."""
    rates: list[float] = []

    def search(_: Any, start: float) -> RateInterval:
        rates.append(start)
        return RateInterval(40.0, None)

    monkeypatch.setattr(InProcess, "_find_max_rate", search)
    server = {"scenario": "server", "rate": 50.0, "latency_limit": "50 ms", "find_max_rate": True}
    work, values = opened(requests=10, **server)
    assert rates == [50.0]
    assert values["max_rate"] == 40.0
    assert math.isnan(values["max_rate_upper"])
    assert "proven to break" in work.unmeasured["max_rate_upper"]
    work.sample(1)
    assert rates == [50.0]  # once per launch


def test_failures_are_an_error_unless_they_are_allowed() -> None:
    """With their number and words; LoadGen's process survives them."""
    with pytest.raises(RuntimeFault, match="2 of 20 requests failed: RuntimeError: the cable") as e:
        opened(Sleeps(fails_every=10), requests=20)
    assert "errors_allowed = 0.1" in e.value.next_step
    _, values = opened(Sleeps(fails_every=10), requests=20, errors_allowed=0.2)
    assert values["error_rate"] == pytest.approx(0.1)
    assert values["request_latency_p50"] < 1


def test_a_failure_is_no_fast_answer() -> None:
    """It takes the timeout, is slow, and is no throughput: of 20 requests 2 answers are good."""
    _, values = opened(
        Sleeps(fails_from=3), requests=20, errors_allowed=0.95, timeout="3 s", scenario="offline"
    )
    assert values["error_rate"] == pytest.approx(0.9)
    assert values["request_latency_p50"] == values["request_latency_p90"] == 3.0
    settings = loadgen.Settings(loadgen.SERVER, 300, limit=0.1, timeout=3.0)
    served = loadgen._Served(
        [loadgen._Sample(n, 0.0, 0.001, 0.002, n > 3) for n in range(300)], ["it broke"] * 296
    )
    log = {
        "result_query_count": 300,
        "result_overlatency_query_count": 0,
        "result_99.00_percentile_latency_ns": 2_000_000,
        "result_completed_samples_per_sec": 900.0,
    }
    tested = loadgen._result(settings, log, served, 1.0)
    assert tested.slow == 296
    assert tested.percentiles["p99"] == tested.queue_p99 == 3.0
    assert tested.throughput == pytest.approx(900 * 4 / 300)
    groups = [loadgen._Sample(n // 2, 0.0, 0.001, 0.002, n == 1) for n in range(20)]
    settings = loadgen.Settings(loadgen.MULTI_STREAM, 10, samples=2, timeout=3.0)
    tested = loadgen._result(
        settings, {"result_query_count": 10}, loadgen._Served(groups, ["it broke"]), 1.0
    )
    assert tested.percentiles["p90"] == pytest.approx(np.quantile([3.0] + [0.002] * 9, 0.9))
    assert tested.throughput == 19.0


def test_a_search_has_seeds_behind_any_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its tests has one of its own, also where the first is a date."""
    seeds: list[int] = []
    tested = loadgen.Tested({"p50": 0.01, "p99": 0.02}, 0.0, None, 0.0, 0, 300)
    monkeypatch.setattr(InProcess, "_test", lambda *given: (seeds.append(given[3]), tested))
    work = object.__new__(InProcess)
    work.rates = []
    work._options = ServingOptions(
        scenario="server", rate=9, latency_limit="1 s", find_max_rate=True, seed=20_261_130
    )
    assert work._find_max_rate(9.0).kept
    assert seeds[:2] == [20_261_131, 20_261_132]
    assert [run.p99 for run in work.rates] == [0.02] * len(seeds)


def test_a_session_that_keeps_its_answers_is_an_error() -> None:
    """Requests come round to the same images: its memory would be timed."""

    class Keeps(Sleeps):
        kept: set[bytes] = set()  # noqa: RUF012 - of one session

        def run(self, inputs: Inputs) -> tuple[Any, ...]:
            key = inputs.images.tobytes()
            if key not in self.kept:
                time.sleep(20 * SLEEP)
                self.kept.add(key)
            return (inputs.images.mean(axis=(1, 2, 3)),)

    with pytest.raises(RuntimeFault, match="answers are kept by their inputs"):
        opened(Keeps(), requests=10)


def test_an_artifact_of_a_fixed_batch_is_given_no_other() -> None:
    """Before anything is timed."""
    with pytest.raises(RuntimeFault, match="batches of 4"):
        opened(Sleeps(fixed_batch=4), requests=20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"scenario": "server", "rate": 1, "find_max_rate": True, "latency_limit": "1 s"},
            "a run of the search has 300 requests.* set 5 or more, or raise search_time",
        ),
        ({"scenario": "server"}, "needs rate"),
        ({"rate": 5.0}, "takes no rate"),
        ({"find_max_rate": True}, "find_max_rate needs"),
        ({"timeout": "soon"}, "is not a quantity"),
        ({"search_time": "3 min"}, "above 150 s"),
        ({"latency_limit": "0 s"}, "not above 0"),
        ({"latency_limit": "1 s", "timeout": "1000 ms"}, "is not above latency_limit = '1 s'"),
        ({"latency_limit": "15 s"}, "raise timeout"),
        ({"replicas": 2}, "replicas needs scenario = .server. and rate"),
    ],
)
def test_options_that_would_change_nothing_are_errors(options: Any, words: str) -> None:
    """Before anything is built."""
    with pytest.raises(ValidationError, match=words):
        ServingOptions(**options)


def test_budgets_on_its_metrics_are_read(tmp_path: Path) -> None:
    """By their names, in their units; those of other workloads are refused."""
    (tmp_path / "recipes.toml").write_text(
        '[suite]\ntask = "detection"\nmodel = "toy.model:build"\n[suite.data]\n'
        'validation = "toy.data:validation"\n[[recipe]]\nname = "s"\nruntime = "torch"\n'
        'workload = { name = "serving", scenario = "server", rate = 20, latency_limit = "50 ms",'
        " find_max_rate = true }\n[recipe.budgets]\n"
        'request_latency_p99 = { max = "50 ms" }\nmax_rate = { min = "20 /s" }\n'
        "error_rate = { max = 0.01 }\nwarm_up_requests = { max = 10 }\n"
        'request_latency_p999 = { max = "90 ms" }\n'
    )
    result = read(tmp_path / "recipes.toml", tmp_path)
    assert not result.problems
    assert result.suite is not None
    assert len(result.suite.recipes["s"].budgets) == 5
