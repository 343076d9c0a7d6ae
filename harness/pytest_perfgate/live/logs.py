"""Logs of monitors, read: all rows of some files, in the order of their time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import LogError
from pytest_perfgate.history.engine import connect, patterns
from pytest_perfgate.live.log_rows import COLUMNS, MARK, VERSION
from pytest_perfgate.stats.image_statistics import NAMES

if TYPE_CHECKING:
    import duckdb

_LARGEST = 2 * 2**30  # bytes that a file may unpack to
_MOST = 5_000_000  # rows
_NEXT = "name the folder that pytest_perfgate.live.Monitor writes to"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Logs:
    """Rows of one recipe, in the order of their time.

    Attributes:
        where: the folders and files, for messages.
        files: the files that were read, by device and inode: a file has many paths, and links.
        suite, recipe: of all rows.
        artifacts: digests of the artifacts that answered.
        artifact: which of them answered, (N,).
        time: of the end of each request, UTC, datetime64 (N,).
        image: its name, "" for none, (N,).
        latency: seconds (N,); NaN in a row that only counts.
        requests, errors: since the row before (N,).
        failed: whether the row's own request failed (N,).
        scored: whether the row's scores were read (N,).
        inputs: name of a statistic to its values (N,), NaN where there is none.
        classes: each class in each row: the row's place (M,), the name (M,) and the score (M,).
    """

    where: str
    files: Mapping[tuple[int, int], Path]
    suite: str
    recipe: str
    artifacts: tuple[str, ...]
    artifact: npt.NDArray[np.int64]
    time: npt.NDArray[Any]
    image: npt.NDArray[Any]
    latency: Floats
    requests: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    scored: npt.NDArray[np.bool_]
    inputs: Mapping[str, Floats]
    classes: tuple[npt.NDArray[np.int64], npt.NDArray[Any], Floats]

    @property
    def name(self) -> str:
        """Suite and recipe, "digits/int8"."""
        return f"{self.suite}/{self.recipe}"

    @property
    def rows(self) -> int:
        """Rows of sampled requests."""
        return int(np.isfinite(self.latency).sum())

    @cached_property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Whether a row is of a sampled request that did not fail, (N,)."""
        answered: npt.NDArray[np.bool_] = np.isfinite(self.latency) & ~self.failed
        return answered

    @property
    def served(self) -> Floats:
        """Latency of sampled requests that did not fail, seconds (K,)."""
        return self.latency[self.answered]

    @property
    def unread(self) -> int:
        """Rows of requests that were answered, and whose scores could not be read."""
        return int((self.answered & ~self.scored).sum())

    def during(self, other: Logs) -> Logs:
        """The rows from the time of another log, from its first row to its last; perhaps none."""
        part = slice(
            int(np.searchsorted(self.time, other.time[0], side="left")),
            int(np.searchsorted(self.time, other.time[-1], side="right")),
        )
        rows, names, scores = self.classes
        inside = (rows >= part.start) & (rows < part.stop)
        present = np.unique(self.artifact[part])
        return replace(
            self,
            artifacts=tuple(self.artifacts[one] for one in present),
            artifact=np.searchsorted(present, self.artifact[part]),
            time=self.time[part],
            image=self.image[part],
            latency=self.latency[part],
            requests=self.requests[part],
            errors=self.errors[part],
            failed=self.failed[part],
            scored=self.scored[part],
            inputs={name: values[part] for name, values in self.inputs.items()},
            classes=(rows[inside] - part.start, names[inside], scores[inside]),
        )

    @property
    def seconds(self) -> float:
        """From the first row to the last; 0 of none."""
        if not len(self.time):
            return 0.0
        return float((self.time[-1] - self.time[0]) / np.timedelta64(1, "s"))

    def thinned(self, apart: float) -> Logs:
        """The same with rows that lie at least so many seconds apart; the others only count their
        requests. Neighbouring requests are alike, and tests take them to be independent.
        """
        if not apart:
            return self
        seconds = (self.time - self.time[0]) / np.timedelta64(1, "s")
        kept, last = np.zeros(len(seconds), dtype=np.bool_), -np.inf
        for row in np.flatnonzero(np.isfinite(self.latency)):
            if seconds[row] - last >= apart:
                kept[row], last = True, seconds[row]
        rows, names, scores = self.classes
        return replace(
            self,
            latency=np.where(kept, self.latency, np.nan),
            scored=self.scored & kept,
            inputs={name: np.where(kept, values, np.nan) for name, values in self.inputs.items()},
            classes=(rows[kept[rows]], names[kept[rows]], scores[kept[rows]]),
        )

    def when(self, row: int) -> str:
        """The time of a row, ISO 8601, to the second."""
        instant: datetime = self.time[row].astype("datetime64[us]").item()
        return instant.replace(tzinfo=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_logs(places: Sequence[Path]) -> Logs:
    """The rows of files and of folders' files.

    Raises:
        LogError: there is no file or no row, a file is damaged or no log, or the rows are of
            several recipes.
        MissingPackage: DuckDB is not installed.
    """
    where = ", ".join(map(str, places))
    files = _files(places)
    with contextlib.closing(connect("a log", "live")) as engine:
        for file in files.values():
            _check(engine, file)
        return _read(engine, files, where)


def _files(places: Sequence[Path]) -> dict[tuple[int, int], Path]:
    """Each file once, whatever paths name it: rows that are read twice would count twice."""
    files: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(place.glob("[!.]*.parquet"))
            if not inside:
                raise LogError("there are no Parquet files", where=str(place), next_step=_NEXT)
            files += inside
        elif place.is_file():
            files.append(place)
        else:
            raise LogError("there is no such folder or file", where=str(place), next_step=_NEXT)
    once: dict[tuple[int, int], Path] = {}
    for file in files:
        status = file.stat()
        once.setdefault((status.st_dev, status.st_ino), file)
    return once


def _check(engine: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Check that a file is a log of this version, and whole.

    Raises:
        LogError: it is not.
    """
    import duckdb

    (name,) = patterns([file])
    try:
        marks = engine.execute(
            "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?", [name, MARK]
        ).fetchall()
        if marks != [(str(VERSION),)]:
            version = f", and is of version {marks[0][0]}" if marks else ""
            raise LogError(
                f"it is not a log of this version of the monitor{version}",
                where=str(file),
                valid=f"version {VERSION}",
                next_step=_NEXT,
            )
        (size,) = engine.execute(
            "SELECT coalesce(sum(total_uncompressed_size + 8 * num_values), 0) "
            "FROM parquet_metadata(?)",
            [name],
        ).fetchone() or (0,)
        if size > _LARGEST:
            raise LogError(
                f"it unpacks to {size:,} bytes", where=str(file), valid=f"up to {_LARGEST:,}"
            )
        described = engine.execute(
            "SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet(?))", [name]
        ).fetchall()
        wrong = [name for name, kind in COLUMNS.items() if (name, kind) not in described]
        if wrong:
            raise LogError(
                f"its columns are not those of a log: {', '.join(wrong)}",
                where=str(file),
                next_step=_NEXT,
            )
        # All of it is unpacked once, so that damage is one file's and not the query's.
        engine.execute("SELECT max(hash(COLUMNS(*))) FROM read_parquet(?)", [name]).fetchall()
    except (duckdb.Error, UnicodeDecodeError) as error:
        text = str(error).partition("\n")[0].replace(str(file), "it")
        raise LogError(
            f"it is damaged: {text}",
            where=str(file),
            next_step="move it elsewhere; a monitor writes files whole, so that it was damaged "
            "afterwards",
        ) from error


def _read(
    engine: duckdb.DuckDBPyConnection, files: Mapping[tuple[int, int], Path], where: str
) -> Logs:
    engine.execute(
        "CREATE TEMP TABLE log AS "
        "SELECT row_number() OVER (ORDER BY time, monitor) - 1 AS place, * "
        "FROM read_parquet(?, union_by_name = true, hive_partitioning = false)",
        [patterns(list(files.values()))],
    )
    names = engine.execute(
        "SELECT suite, recipe, count(*) FROM log GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    if not names:
        raise LogError(
            "there are no rows", where=where, next_step="let the monitor run, and close it"
        )
    if len(names) > 1:
        listed = ", ".join(f"{suite}/{recipe}" for suite, recipe, _ in names)
        raise LogError(
            f"the rows are of {len(names)} recipes: {listed}",
            where=where,
            next_step="give each recipe's monitor a folder of its own, and name one",
        )
    suite, recipe, rows = names[0]
    if rows > _MOST:
        raise LogError(
            f"there are {rows:,} rows",
            where=where,
            valid=f"up to {_MOST:,}",
            next_step="name the files of a shorter time",
        )
    inputs = ", ".join(f'"{name}"' for name in NAMES)
    artifacts = [
        digest
        for (digest,) in engine.execute("SELECT DISTINCT artifact FROM log ORDER BY ALL").fetchall()
    ]
    table = engine.execute(
        f"SELECT time, coalesce(image, '') AS image, latency, requests, errors, "  # noqa: S608 - names of columns
        f"list_position(?, artifact) - 1 AS artifact, "
        f"error IS NOT NULL AS failed, classes IS NOT NULL AS scored, {inputs} "
        f"FROM log ORDER BY place",
        [artifacts],
    ).fetchnumpy()
    classes = engine.execute(
        "SELECT place, unnest(classes) AS name, unnest(scores) AS score FROM log "
        "WHERE len(classes) > 0 ORDER BY place"
    ).fetchnumpy()
    return Logs(
        where=where,
        files=files,
        suite=suite,
        recipe=recipe,
        artifacts=tuple(artifacts),
        artifact=np.asarray(table["artifact"]).astype(np.int64),
        time=np.asarray(table["time"]),
        image=np.asarray(table["image"]),
        latency=_floats(table["latency"]),
        requests=np.asarray(table["requests"]).astype(np.int64),
        errors=np.asarray(table["errors"]).astype(np.int64),
        failed=np.asarray(table["failed"]).astype(np.bool_),
        scored=np.asarray(table["scored"]).astype(np.bool_),
        inputs={name: _floats(table[name]) for name in NAMES},
        classes=(
            np.asarray(classes["place"]).astype(np.int64),
            np.asarray(classes["name"]),
            _floats(classes["score"]),
        ),
    )


def _floats(column: Any) -> Floats:
    """A column as floats, NaN for null and for infinity."""
    values: Floats = np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan)
    return np.where(np.isfinite(values), values, np.nan)
