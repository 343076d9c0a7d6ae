"""A monitor's figures as OpenMetrics histograms and counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import MissingPackage, PerfgateError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

LATENCIES = tuple(step * 10.0**power for power in range(-4, 2) for step in (1.0, 2.0, 5.0))
"""Seconds, 100 µs to 50 s: the same of every version, so that versions can be compared."""
SCORES = tuple(round(0.05 * step, 2) for step in range(1, 21))
LEVELS = tuple(float(level) for level in range(16, 257, 16))
SIDES = tuple(float(2**power) for power in range(4, 15))

MOST_CLASSES, MOST_ERRORS = 200, 20
"""Labels that a family may have; what is beyond is counted as `OTHER`."""
OTHER = "(other)"


class OpenMetrics:
    """The families of one monitor in a registry.

    Raises:
        MissingPackage: prometheus_client is not installed.
        PerfgateError: the registry has such families already.
    """

    def __init__(
        self,
        labels: dict[str, str],
        classes: Sequence[str],
        registry: CollectorRegistry | None,
    ) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as error:
            raise MissingPackage(
                "the monitor needs prometheus_client",
                next_step="python -m pip install 'pytest-perfgate[live]'",
            ) from error
        self.registry = prometheus.CollectorRegistry() if registry is None else registry
        self._labels = labels
        self._classes = frozenset(classes[:MOST_CLASSES])
        self._errors: set[str] = set()
        try:
            self._make(prometheus)
        except ValueError as error:
            raise PerfgateError(
                f"the registry cannot take the monitor's families: {error}",
                valid="one monitor per registry",
                next_step="give each monitor a registry of its own",
            ) from error

    def _make(self, prometheus: Any) -> None:
        def family(kind: Any, name: str, about: str, label: str = "", **more: Any) -> Any:
            names = (*self._labels, *filter(None, (label,)))
            return kind(f"perfgate_live_{name}", about, names, registry=self.registry, **more)

        histogram, counter = prometheus.Histogram, prometheus.Counter
        self.latency = family(
            histogram, "request_seconds", "Latency of all requests.", buckets=LATENCIES
        ).labels(**self._labels)
        self._scores = family(
            histogram, "score", "Scores of classes in sampled requests.", "class", buckets=SCORES
        )
        self._levels = family(
            histogram,
            "input_level",
            "Statistics of the inputs of sampled requests, levels 0 to 255.",
            "statistic",
            buckets=LEVELS,
        )
        self._sides = family(
            histogram,
            "input_pixels",
            "Width and height of the inputs of sampled requests, pixels.",
            "statistic",
            buckets=SIDES,
        )
        self._failures = family(counter, "errors", "Requests that raised, by exception.", "kind")
        self._own = family(
            counter, "monitor_errors", "Errors of the monitor itself, by stage.", "stage"
        )
        self._rows = family(counter, "rows", "Rows of the log, by what became of them.", "state")
        for state in ("written", "dropped"):
            self._rows.labels(**self._labels, state=state)
        for stage in ("input", "scores", "request", "rows"):
            self._own.labels(**self._labels, stage=stage)

    def failed(self, kind: str) -> None:
        """Counts a request that raised an exception of a type."""
        if kind not in self._errors:
            if len(self._errors) >= MOST_ERRORS:
                kind = OTHER
            else:
                self._errors.add(kind)
        self._failures.labels(**self._labels, kind=kind).inc()

    def own_error(self, stage: str) -> None:
        """Counts an error of the monitor itself."""
        self._own.labels(**self._labels, stage=stage).inc()

    def rows(self, state: str, count: int) -> None:
        """Counts rows that were written or dropped."""
        self._rows.labels(**self._labels, state=state).inc(count)

    def score(self, name: str, score: float) -> None:
        """Adds a score of a class."""
        label = name if name in self._classes else OTHER
        self._scores.labels(**self._labels, **{"class": label}).observe(score)

    def input(self, statistic: str, value: float) -> None:
        """Adds a statistic of an input."""
        family = self._sides if statistic in {"width", "height"} else self._levels
        family.labels(**self._labels, statistic=statistic).observe(value)

    def text(self) -> str:
        """The registry as a page of OpenMetrics."""
        from prometheus_client.openmetrics.exposition import generate_latest

        page: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]  # untyped
        return page.decode("utf-8")
