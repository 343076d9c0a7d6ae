"""The options and the metrics of the workload `serving`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.metric import Better, Metric, Rule, by_name
from pytest_perfgate.records.soak import SOAK_DRIFT, SOAK_ERRORS, SOAK_MEMORY
from pytest_perfgate.units import Unit, parse
from pytest_perfgate.workloads.loadgen import MULTI_STREAM, SERVER

_RUN = (
    "A request is an input that was pre-processed before the run; its time ends with the output "
    "arrays. Of `server` it begins with the scheduled arrival. Median over runs."
)

METRICS = by_name(
    Metric.seconds(
        "request_latency_p50", f"Median latency of a request. {_RUN}", optional=True, headline=True
    ),
    *(
        Metric.seconds(
            f"request_latency_{name}",
            f"{words} percentile of the latency of a request. {_RUN} Not measured with fewer than "
            f"{fewest:,} requests in a run.",
            optional=True,
        )
        for name, words, fewest in (
            ("p90", "90th", 10),
            ("p99", "99th", 100),
            ("p999", "99.9th", 1_000),
        )
    ),
    Metric.rate(
        "request_throughput",
        "Images per second in answers, from the begin of a run to its last answer. In the scenario "
        "`server` it is the offered rate until the service is saturated. Median over runs.",
        optional=True,
    ),
    Metric(
        "error_rate",
        Unit.SCORE,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Share of the requests that failed. A run in which more fail than `errors_allowed` is an "
        "ERROR. Median over runs.",
        optional=True,
    ),
    Metric.seconds(
        "queue_time_p99",
        "99th percentile of the time that a request waits for its inference to begin. Behind an "
        "endpoint: the latency beyond the median latency of requests that were sent alone before. "
        "Not measured with fewer than 100 requests in a run. Median over runs.",
        optional=True,
    ),
    Metric.seconds(
        "time_to_first_response",
        "Time from a cold start to the first answer: opening the artifact in a fresh process and "
        "the first inference; of an endpoint with `start` from the start of its server. Without "
        "`start`, from the first connection.",
        optional=True,
    ),
    Metric(
        "warm_up_requests",
        Unit.COUNT,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Requests behind a cold start until three in a row take at most 25 % longer than the "
        "median of the second half of the first 30.",
        optional=True,
    ),
    Metric.rate(
        "max_rate",
        "Highest rate, in requests per second, at which the 99th percentile of the latency was "
        "proven to keep `latency_limit`: by bisection, each rate decided by the number of "
        "requests above the limit (binomial, 5 % on each side). Once per launch.",
        optional=True,
    ),
    Metric.rate(
        "max_rate_upper",
        "Lowest rate above `max_rate`, in requests per second, at which the 99th percentile of the "
        "latency was proven to break `latency_limit`. Once per launch.",
        optional=True,
    ),
    Metric.rate(
        "max_rate_per_replica",
        "`max_rate` divided by `replicas`. Its ratio to that of a reference with one replica, "
        "`speedup`, is the scaling efficiency: 1 when replicas do not slow each other down.",
        optional=True,
    ),
)

_LONG = (
    "Of one run as long as `duration`, in windows of equal length, the first four of which are "
    "warm-up. Measured only when a budget asks for it; `max` is its only limit."
)

SOAK = by_name(
    Metric(
        SOAK_MEMORY,
        Unit.BYTES,
        Better.LOWER,
        Rule.STRETCHES,
        False,
        "Growth of the memory of the server that the session started, in anonymous memory per "
        f"1,000 requests. {_LONG}",
        optional=True,
    ),
    Metric(
        SOAK_DRIFT,
        Unit.RATIO,
        Better.LOWER,
        Rule.STRETCHES,
        False,
        "Median latency of requests in a window of the second half, over that in the window half "
        f"the run before it. {_LONG}",
        optional=True,
    ),
    Metric(
        SOAK_ERRORS,
        Unit.COUNT,
        Better.LOWER,
        Rule.ONCE,
        True,
        "Requests that failed in one run as long as `duration`. Measured only when a budget asks "
        "for it; `max` is its only limit.",
        optional=True,
    ),
)
"""Metrics of the long run: they are of no turn."""

COLUMNS = tuple(METRICS)
"""A run's values, in their order; the last three, `RATES`, with `find_max_rate` alone."""

RATES = ("max_rate", "max_rate_upper", "max_rate_per_replica")

_PROVEN = 300  # requests of which one may be slow where 1 % may, proven with 5 %

_LONGEST_SEARCH = 150.0  # seconds: it is a part of one turn, and an arm counts as hung after 300


class ServingOptions(OptionsModel):
    """How requests arrive."""

    scenario: Literal["single_stream", "multi_stream", "server", "offline"] = Field(
        "single_stream",
        description="how requests arrive, as MLPerf defines it: one after the other, groups one "
        "after the other, at random times, or all at once",
    )
    rate: float | None = Field(
        None,
        gt=0,
        description="requests per second, on average; needed by `server`, and only there",
    )
    replicas: int = Field(
        1,
        ge=1,
        description="replicas of the service behind an endpoint: requests arrive at `rate` times "
        "this, so that each has the same load; with `server` only",
    )
    requests: int = Field(100, ge=10, le=1_000_000, description="requests in a run")
    samples_per_query: int = Field(
        8, ge=1, le=4096, description="images in a request of `multi_stream`"
    )
    batch_size: int = Field(
        1, ge=1, description="images that share an inference, of those that wait"
    )
    latency_limit: str | None = Field(
        None, description='time that the 99th percentile should keep, such as "50 ms"'
    )
    find_max_rate: bool = Field(
        False,
        description="search the highest rate that keeps `latency_limit`, once per launch; with "
        "`server` only",
    )
    search_runs: int = Field(
        12, ge=4, le=100, description="runs of that search at most, in each launch"
    )
    search_time: str = Field(
        "60 s",
        description="time of that search, in each launch: no run begins that would end later; up "
        "to 150 s",
    )
    duration: str | None = Field(
        None,
        description='length of one long run at `rate`, such as "30 min", where a budget is on what '
        "it shows: memory, errors and latency over time; at endpoints only, with `server`",
    )
    errors_allowed: float = Field(
        0.0, ge=0, lt=1, description="share of the requests that may fail before it is an ERROR"
    )
    timeout: str = Field(
        "10 s",
        description="time after which a request without answer failed; above `latency_limit`",
    )
    seed: int = Field(0, ge=0, description="of the arrival times and the choice of images")

    @field_validator("latency_limit", "timeout", "search_time", "duration")
    @classmethod
    def _time(cls, value: str | None) -> str | None:
        try:
            if value is not None and parse(value, Unit.SECONDS) <= 0:
                raise ValueError(f"{value!r} is not above 0")
        except PerfgateError as error:
            raise ValueError(f"{error.problem}; valid: {error.valid}") from error
        return value

    @model_validator(mode="after")
    def _fits(self) -> ServingOptions:
        """What the scenario does not use is an error, for it would change nothing."""
        if (self.scenario == SERVER) != (self.rate is not None):
            needed = "needs" if self.scenario == SERVER else "takes no"
            raise ValueError(f"scenario = {self.scenario!r} {needed} rate")
        if self.replicas > 1 and self.scenario != SERVER:
            raise ValueError('replicas needs scenario = "server" and rate, which is that of each')
        if self.duration is not None and self.scenario != SERVER:
            raise ValueError('duration needs scenario = "server" and rate')
        if self.find_max_rate and (self.scenario != SERVER or self.latency_limit is None):
            raise ValueError('find_max_rate needs scenario = "server" and latency_limit')
        seconds = self.search_seconds
        if seconds > _LONGEST_SEARCH:
            raise ValueError(
                f"search_time = {self.search_time!r} is above {_LONGEST_SEARCH:.0f} s, after which "
                "an arm counts as hung"
            )
        if self.find_max_rate and self.search_requests / self.offered_rate > seconds:
            raise ValueError(
                f"a run of the search has {self.search_requests} requests, and the search "
                f"{seconds:.0f} s in all; rate is where it begins: set "
                f"{math.ceil(self.search_requests / seconds / self.replicas)} or more, or raise "
                "search_time"
            )
        # A failure counts as one that took the timeout, which would keep the limit.
        if self.limit_seconds is not None and self.timeout_seconds <= self.limit_seconds:
            raise ValueError(
                f"timeout = {self.timeout!r} is not above latency_limit = {self.latency_limit!r}: "
                "a request that fails would keep the limit; raise timeout"
            )
        return self

    @property
    def offered_rate(self) -> float:
        """Requests per second of all replicas together; 0 without a rate."""
        return (self.rate or 0.0) * self.replicas

    @property
    def limit_seconds(self) -> float | None:
        """`latency_limit` in seconds."""
        return None if self.latency_limit is None else parse(self.latency_limit, Unit.SECONDS)

    @property
    def timeout_seconds(self) -> float:
        """`timeout` in seconds."""
        return parse(self.timeout, Unit.SECONDS)

    @property
    def duration_seconds(self) -> float | None:
        """`duration` in seconds."""
        return None if self.duration is None else parse(self.duration, Unit.SECONDS)

    @property
    def search_seconds(self) -> float:
        """`search_time` in seconds."""
        return parse(self.search_time, Unit.SECONDS)

    @property
    def images_of_request(self) -> int:
        """Images in one request."""
        return self.samples_per_query if self.scenario == MULTI_STREAM else 1

    @property
    def search_requests(self) -> int:
        """Requests in a run of the search for the highest rate."""
        return max(_PROVEN, self.requests)

    @property
    def columns(self) -> tuple[str, ...]:
        """The values of a run."""
        return COLUMNS if self.find_max_rate else COLUMNS[: -len(RATES)]


def values_of(measured: Mapping[str, float | None], columns: Sequence[str]) -> list[float]:
    """A run's values in the order of its columns; NaN: not measured."""
    values = (measured.get(name) for name in columns)
    return [math.nan if value is None else value for value in values]


def refuse_errors(rate: float, requests: int, options: ServingOptions, words: str) -> None:
    """Check that no more requests failed than may.

    Raises:
        RuntimeFault: it gives their number and the words of one of them.
    """
    if rate > options.errors_allowed:
        raise RuntimeFault(
            f"{round(rate * requests)} of {requests} requests failed: {words}",
            next_step="make the service answer; or let some fail and hold them to a budget: "
            f"workload.errors_allowed = {min(0.99, round(rate + 0.005, 2))}, budgets.error_rate",
        )


_FEWEST_OF_TURN = 20


def requests_of_turn(rate: float, seconds: float = 0.5, fewest: int = 0) -> int:
    """Requests in a turn of so many seconds that is compared with another's; `fewest`: those that
    its percentile needs.
    """
    return max(_FEWEST_OF_TURN, fewest, round(rate * seconds))


def unmeasured_of(options: ServingOptions, measured: Mapping[str, float | None]) -> dict[str, str]:
    """Why metrics of a run have no value, by their names; what to do behind "; "."""
    reasons = {}
    for name, fewest in _FEWEST.items():
        if options.requests < fewest:
            reasons[name] = (
                f"a run has {options.requests} requests, and this percentile needs "
                f"{fewest}; workload.requests = {fewest}"
            )
    if measured["warm_up_requests"] is None:
        reasons["warm_up_requests"] = (
            "the first requests show no steady level; give the launch a quieter machine: "
            "pytest-perfgate doctor"
        )
    if options.find_max_rate and measured["max_rate"] is None:
        reasons["max_rate"] = (
            "no rate was proven to keep latency_limit; raise latency_limit or requests, or begin "
            f"the search at another rate: search_time = {options.search_time!r} is for all of its "
            "runs, and a run takes the time of its requests"
        )
    if options.find_max_rate and measured["max_rate_upper"] is None:
        reasons["max_rate_upper"] = (
            "no rate was proven to break latency_limit; raise requests, or begin the search at a "
            "higher rate"
        )
    if "max_rate" in reasons:
        reasons["max_rate_per_replica"] = reasons["max_rate"]
    if not options.find_max_rate:
        reasons |= dict.fromkeys(
            RATES, "the search was not requested; workload.find_max_rate = true"
        )
    return reasons


_FEWEST = {
    "request_latency_p99": 100,
    "request_latency_p999": 1_000,
    "queue_time_p99": 100,
}
