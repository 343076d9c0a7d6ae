"""Long runs of requests, laid out for the page: a row for each window of time."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.soak import WARM_UP, Soak, SoakWindow
from pytest_perfgate.units import NOT_MEASURED, Unit, count_of, show


@dataclass(frozen=True)
class Row:
    """A window: what it shows as text, and how long the bars of its latency and memory are, 0 to
    100 percent of the longest.
    """

    begin: str
    requests: str
    errors: str
    p50: str
    p99: str
    memory: str
    latency_bar: float
    memory_bar: float


@dataclass(frozen=True)
class Table:
    """The long run of a recipe."""

    recipe: str
    words: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(suite: SuiteRecord) -> list[Table]:
    """The recipes that had a long run."""
    return [
        Table(record.name, tuple(_words(record.soak)), _rows(record.soak))
        for record in suite.recipes
        if record.soak is not None
    ]


def _words(soak: Soak) -> list[str]:
    requests = sum(window.requests for window in soak.windows)
    whole = f"{count_of(requests, 'request')} in {_clock(soak.seconds)}"
    first = f"; the first: {soak.words}" if soak.words else ""
    words = [
        f"{whole}, {count_of(soak.errors, 'error')}{first}",
        f"the first {WARM_UP} windows are warm-up",
    ]
    if soak.late:
        words.append(
            f"in {count_of(soak.late, 'window')} the load generator was late itself: they have no "
            "latency"
        )
    return words


def _rows(soak: Soak) -> tuple[Row, ...]:
    slowest = max((window.p50 or 0.0 for window in soak.windows), default=0.0)
    largest = max((window.memory or 0 for window in soak.windows), default=0)
    return tuple(_row(window, slowest, largest) for window in soak.windows)


def _row(window: SoakWindow, slowest: float, largest: int) -> Row:
    memory = window.memory
    return Row(
        begin=_clock(window.begin),
        requests=f"{window.requests:,}",
        errors=f"{window.errors:,}",
        p50=show(window.p50, Unit.SECONDS),
        p99=show(window.p99, Unit.SECONDS),
        memory=NOT_MEASURED if memory is None else show(memory, Unit.BYTES),
        latency_bar=round(100.0 * (window.p50 or 0.0) / slowest, 1) if slowest else 0.0,
        memory_bar=round(100.0 * (memory or 0) / largest, 1) if largest else 0.0,
    )


def _clock(seconds: float) -> str:
    """Minutes and seconds, as "29:30 min"; below one minute "7.5 s"."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min"
