"""The history read back: nights and series, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_perfgate.history.store import History, Unread
from pytest_perfgate.metric import Better, Rule
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.units import Unit

Array = NDArray[np.float64]
STATUSES = tuple(Status)
"""What the codes of `Series.status` stand for; -1 is a night without a verdict."""


@dataclass(frozen=True)
class Night:
    """One session on one machine. `started` is UTC; `environment` is JSON."""

    session: str
    machine: str
    started: datetime
    seconds: float
    commit: str
    dirty: bool
    complete: bool
    command: str
    environment: str
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """One metric of one recipe on one machine, night after night; arrays are of one length.

    Attributes:
        unit, better, rule, relative: of the metric; None when it never was measured.
        nights: indices of `Past.nights`, ascending.
        value: as measured; NaN: it was not.
        compared, low, high: what nights are compared by (`rows.COLUMNS`), with its interval.
        through: a number for what it is compared through; nights of unequal ones do not compare.
        status: codes of `STATUSES`, -1 for none.
        beside: what the newest night is compared through, in words.
    """

    machine: str
    suite: str
    recipe: str
    metric: str
    reference: str
    unit: Unit | None
    better: Better | None
    rule: Rule | None
    relative: bool
    nights: NDArray[np.int64]
    value: Array
    compared: Array
    low: Array
    high: Array
    through: NDArray[np.int64]
    status: NDArray[np.int64]
    beside: str

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.recipe} {self.metric}"


@dataclass(frozen=True)
class Held:
    """A limit of a budget that every night of the newest ones kept.

    `loosest` is the bound nearest to the limit that any of them would have kept.
    """

    machine: str
    suite: str
    recipe: str
    metric: str
    unit: str
    kind: str
    text: str
    scale: str
    limit: float
    loosest: float
    nights: int


@dataclass(frozen=True)
class Past:
    """All that the page is made of: nights from the oldest on, series by name; `reasons` are those
    of each machine's newest session, by machine, suite, recipe and metric.
    """

    nights: tuple[Night, ...]
    series: tuple[Series, ...]
    held: tuple[Held, ...] = ()
    unread: tuple[Unread, ...] = ()
    reasons: dict[tuple[str, str, str, str], str] = field(default_factory=dict)


def read(store: History, days: int, held_for: int) -> Past:
    """The newest `days` of a store, counted from its newest session; `held_for` is how many nights
    a limit must have been kept by.

    Raises:
        HistoryError: the folder's files cannot be read.
    """
    files = store.view("history")
    newest = store.query("SELECT max(started) FROM history").fetchone()
    if not files or newest is None or newest[0] is None:
        return Past((), (), (), tuple(store.unread))
    since = newest[0] - timedelta(days=days)
    nights = _nights(store, since)
    return Past(
        nights=tuple(night for _, night in nights),
        series=_series(store, since, [key for key, _ in nights]),
        held=_held(store, [night for _, night in nights], held_for),
        unread=tuple(store.unread),
        reasons=_reasons(store, {night.machine: night for _, night in nights}.values()),
    )


def _nights(store: History, since: datetime) -> list[tuple[int, Night]]:
    rows = store.query(
        """
        SELECT hash(session, machine), session, machine, any_value(started) AS started,
            any_value(seconds), any_value(commit), any_value(dirty), any_value(complete),
            any_value(command), any_value(environment)
        FROM history WHERE started >= ? GROUP BY session, machine
        ORDER BY started, machine, session
        """,
        [since],
    ).fetchall()
    phases: dict[int, dict[str, float]] = {}
    for key, phase, seconds in store.query(
        """
        SELECT key, entry.key, sum(entry.value) FROM (
            SELECT key, unnest(map_entries(phases)) AS entry FROM (
                SELECT hash(session, machine) AS key, any_value(phases) AS phases
                FROM history WHERE started >= ? AND suite IS NOT NULL
                GROUP BY session, machine, suite))
        GROUP BY ALL ORDER BY ALL
        """,
        [since],
    ).fetchall():
        phases.setdefault(key, {})[phase] = seconds
    return [(row[0], _night(row, phases.get(row[0], {}))) for row in rows]


def _night(row: tuple[Any, ...], phases: dict[str, float]) -> Night:
    _, session, machine, started, seconds, commit, dirty, complete, command, environment = row
    return Night(
        session=session,
        machine=machine,
        started=started,
        seconds=seconds or 0.0,
        commit=commit or "",
        dirty=bool(dirty),
        complete=bool(complete),
        command=command or "",
        environment=environment or "",
        phases=phases,
    )


def _series(store: History, since: datetime, keys: Sequence[int]) -> tuple[Series, ...]:
    names = store.query(
        """
        SELECT hash(machine, suite, recipe, metric) AS key, any_value(machine), any_value(suite),
            any_value(recipe), any_value(metric), any_value(reference), any_value(unit),
            any_value(better), any_value(rule), any_value(relative)
        FROM history WHERE started >= ? AND metric IS NOT NULL GROUP BY key ORDER BY key
        """,
        [since],
    ).fetchall()
    through = dict(
        store.query(
            "SELECT DISTINCT (hash(coalesce(through, '')) % 2147483647)::INTEGER, "
            "coalesce(through, '') FROM history"
        ).fetchall()
    )
    if not names:
        return ()
    table = _table(store, since)
    order = np.argsort(np.array(keys, dtype=np.uint64))
    known = np.array(keys, dtype=np.uint64)[order]
    night = order[np.searchsorted(known, np.asarray(table["night"]))]
    ids = np.array([row[0] for row in names], dtype=np.uint64)
    which = np.searchsorted(ids, np.asarray(table["series"]))
    places = np.argsort(which * len(keys) + night, kind="stable")
    edges = np.searchsorted(which[places], np.arange(len(ids) + 1))
    columns = {name: np.asarray(table[name])[places] for name in (*_NUMBERS, "through")}
    columns["status"] = np.asarray(table["status"]).astype(np.int64)[places] - 1
    columns["nights"] = night[places].astype(np.int64)
    series = []
    for row, first, last in zip(names, edges[:-1], edges[1:], strict=True):
        own = {name: column[first:last] for name, column in columns.items()}
        one = _one(row, through[int(own["through"][-1])], own)
        if one is not None:
            series.append(one)
    return tuple(sorted(series, key=lambda one: (one.machine, one.suite)))


_NUMBERS = {"value": "FLOAT", "compared": "DOUBLE", "low": "FLOAT", "high": "FLOAT"}
"""Column to the type that it is fetched as: millions of rows, and charts are not that exact."""


def _table(store: History, since: datetime) -> Mapping[str, NDArray[Any]]:
    """The columns of every measurement since then; series and nights are hashes."""
    # Names are compared by their hash: joining millions of rows by four strings takes longer than
    # all the rest.
    numbers = ", ".join(
        f"coalesce({_COLUMNS[name]}, 'nan')::{kind} AS {name}" for name, kind in _NUMBERS.items()
    )
    listed = ", ".join(f"'{status.value}'" for status in STATUSES)
    return store.query(
        f"""
        SELECT hash(machine, suite, recipe, metric) AS series, hash(session, machine) AS night,
            {numbers},
            (hash(coalesce(through, '')) % 2147483647)::INTEGER AS through,
            coalesce(list_position([{listed}], status), 0)::TINYINT AS status
        FROM history WHERE started >= ? AND metric IS NOT NULL
        """,  # noqa: S608 - names of columns and words, none of them from outside
        [since],
    ).fetchnumpy()


_COLUMNS = {"value": "value", "compared": "compared"} | {
    name: f"compared_{name}" for name in ("low", "high")
}


def _one(row: tuple[Any, ...], beside: str, columns: dict[str, NDArray[Any]]) -> Series | None:
    """One series; None when its metric is of a newer program, whose words are not known here."""
    _, machine, suite, recipe, metric, reference, unit, better, rule, relative = row
    try:
        return Series(
            machine=machine,
            suite=suite or "",
            recipe=recipe or "",
            metric=metric,
            reference=reference or "",
            unit=Unit(unit) if unit else None,
            better=Better(better) if better else None,
            rule=Rule(rule) if rule else None,
            relative=bool(relative),
            beside=beside,
            **columns,
        )
    except ValueError:
        return None


def _reasons(store: History, newest: Iterable[Night]) -> dict[tuple[str, str, str, str], str]:
    """Why each budget that is not kept is not, in the newest sessions."""
    reasons: dict[tuple[str, str, str, str], str] = {}
    for night in newest:
        rows = store.query(
            "SELECT machine, suite, recipe, metric, reason FROM history WHERE session = ? "
            "AND machine = ? AND started = ? AND status != 'PASS' AND reason IS NOT NULL",
            [night.session, night.machine, night.started],
        ).fetchall()
        reasons |= {(row[0], row[1] or "", row[2] or "", row[3]): str(row[4]) for row in rows}
    return reasons


def _held(store: History, nights: Sequence[Night], held_for: int) -> tuple[Held, ...]:
    """The limits that each of a machine's newest nights kept, with room to spare or not."""
    held: list[Held] = []
    for machine in dict.fromkeys(night.machine for night in nights):
        own = [night for night in nights if night.machine == machine][-held_for:]
        if len(own) < held_for:
            continue
        rows = store.query(
            """
            SELECT machine, suite, recipe, metric, max(unit), of.kind, of.text, of.scale,
                any_value(of."limit"), arg_min(of.kept, abs(of."limit" - of.kept)),
                count(DISTINCT session)
            FROM (SELECT *, unnest(limits) AS of FROM history WHERE machine = ? AND started >= ?)
            GROUP BY machine, suite, recipe, metric, of.kind, of.text, of.scale
            HAVING bool_and(of.status = 'PASS' AND of.kept IS NOT NULL)
                AND count(DISTINCT session) >= ?
            ORDER BY ALL
            """,
            [machine, own[0].started, held_for],
        ).fetchall()
        held += [Held(*row) for row in rows]
    return tuple(held)
