"""The history store: one immutable Parquet file per session, read by DuckDB.

    <folder>/month=2026-11/<session>-<machine>.parquet
    <folder>/month=2026-10/compacted-<digest>.parquet

Files of several machines, CI caches or shared folders are merged by copying: a session that is in
two files counts once. Reading runs no code and loads no extension of DuckDB.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_perfgate.errors import HistoryError
from pytest_perfgate.files import replacing, writing
from pytest_perfgate.history.engine import connect, patterns, quoted, struct
from pytest_perfgate.history.rows import COLUMNS, of_session
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SessionRecord

if TYPE_CHECKING:
    import duckdb

VERSION = 1
"""Of the files: one more where a column changes its meaning. New columns need no new version."""

_Result = TypeVar("_Result")
_LARGEST = 2 * 2**30
"""Bytes that a file may unpack to: 450,000 rows of 40 columns are a tenth of them."""
_MARK = "perfgate_history"  # the key in a file's metadata that tells it from foreign ones
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Unread:
    """A file below the folder that is none of the history's, or cannot be read."""

    file: Path
    problem: str


@dataclass(frozen=True)
class Compacted:
    """What `compact` did to one month: the sessions of so many files are in one."""

    month: str
    files: int
    sessions: int


@dataclass
class History(contextlib.ExitStack):
    """The store below a folder, with the engine that reads it; a context manager.

    Raises:
        MissingPackage: DuckDB is not installed.
    """

    folder: Path
    unread: list[Unread] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._engine = self.enter_context(contextlib.closing(connect("the history", "history")))
        self._views: set[str] = set()

    # -- writing ---------------------------------------------------------------------------

    def append(self, session: SessionRecord, metrics: Mapping[str, Metric]) -> Path | None:
        """Writes a session's file, whole or not at all; None when the session is there already.

        Raises:
            HistoryError: the folder cannot be written to.
        """
        file = self.file_of(session)
        if file.exists() or self._holds(file.parent, session):
            return None
        rows = "".join(json.dumps(row) + "\n" for row in of_session(session, metrics))
        with _writing(self.folder), tempfile.TemporaryDirectory() as scratch:
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = Path(scratch, "rows.json")
            lines.write_text(rows, encoding="utf-8")
            self.export(
                f"FROM read_json(?, format = 'newline_delimited', columns = {struct(COLUMNS)})",
                [str(lines)],
                file,
            )
        return file

    def export(self, query: str, values: Sequence[Any], file: Path) -> None:
        """Writes what a query gives into a file of the store, whole or not at all. The query's
        columns are `COLUMNS`.

        Raises:
            HistoryError: the file cannot be written.
        """
        import duckdb

        with _writing(file.parent), replacing(file) as part:
            target = quoted(str(part))
            try:
                self._engine.execute(
                    f"COPY (SELECT {_names()} FROM ({query})) TO {target} (FORMAT parquet, "  # noqa: S608 - columns and quoted paths
                    f"COMPRESSION zstd, KV_METADATA {{{_MARK}: '{VERSION}'}})",
                    list(values),
                )
            except duckdb.IOException as error:
                raise OSError(str(error)) from error

    def file_of(self, session: SessionRecord) -> Path:
        """Where a session's file is: in the month of its start, by session and machine."""
        month = datetime.fromisoformat(session.started).astimezone(UTC).strftime("%Y-%m")
        name = _NAME.sub("-", session.id).strip(".-")[:64] or "session"
        apart = hashlib.sha256(f"{session.id}\n{session.machine.id}".encode()).hexdigest()[:12]
        return self.folder / f"month={month}" / f"{name}-{apart}.parquet"

    def compact(self, now: datetime) -> list[Compacted]:
        """Puts the sessions of each month before `now`'s into one file; a month that is one file
        already stays. The old files are deleted when the new one is written: what goes wrong in
        between leaves sessions twice, which count once.

        Raises:
            HistoryError: a file cannot be written or deleted.
        """
        self._leave_out_damaged()  # nothing is deleted that was not read to its end
        done = []
        for folder in sorted(self.folder.glob("month=*")):
            month = folder.name.removeprefix("month=")
            old = [file for file in self.files() if file.parent == folder]
            if month >= now.astimezone(UTC).strftime("%Y-%m") or len(old) < 2:
                continue
            keys = self._keys(old)
            digest = hashlib.sha256(repr(keys).encode()).hexdigest()[:12]
            whole = folder / f"compacted-{digest}.parquet"
            if whole not in old:
                self.export(f"FROM ({_ONCE}) ORDER BY ALL", [patterns(old)] * 2, whole)
            with _writing(folder):
                for file in old:
                    if file != whole:
                        file.unlink()
            done.append(Compacted(month, len(old), len(keys)))
        return done

    # -- reading ---------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """The store's files that can be read; what else is there is added to `unread`."""
        files = sorted(self.folder.glob("month=*/[!.]*.parquet"))
        if not files:
            return []
        known = {problem.file for problem in self.unread}
        files = [file for file in files if file not in known]
        versions = self._of_each(self._versions, files)
        ours = [file for file in files if versions.get(file) == str(VERSION)]
        sizes = self._of_each(self._sizes, ours)
        known = {problem.file for problem in self.unread}
        for file in files:
            version, size = versions.get(file, ""), sizes.get(file, 0)
            problem = ""
            if version and version != str(VERSION):
                problem = f"it is of version {version}, and this program reads {VERSION}"
            elif not version:
                problem = "not a file of pytest-perfgate's history"
            elif size > _LARGEST:
                problem = f"it unpacks to {size:,} bytes; valid: up to {_LARGEST:,}"
            if problem and file not in known:
                self.unread.append(Unread(file, problem))
                known.add(file)
        return [file for file in files if file not in known]

    def _of_each(
        self, look: Callable[[Sequence[Path]], dict[Path, Any]], files: Sequence[Path]
    ) -> dict[Path, Any]:
        """What a query tells of each file; those that it cannot read are added to `unread`."""
        import duckdb

        try:
            return look(files)
        except (duckdb.Error, UnicodeDecodeError):  # one of them spoils the query for all
            answers: dict[Path, Any] = {}
        for file in files:
            try:
                answers |= look([file])
            except (duckdb.Error, UnicodeDecodeError) as error:
                self.unread.append(_damaged(file, error))
        return answers

    def view(self, name: str) -> int:
        """Makes a view of all sessions, each once, with the columns of `COLUMNS`; returns how many
        files it reads.

        Raises:
            HistoryError: the files cannot be read together.
        """
        self._views.add(name)
        return self._reading(lambda: self._make_view(name))

    def _make_view(self, name: str) -> int:
        files = self.files()
        if files:
            listed = "[" + ", ".join(map(quoted, patterns(files))) + "]"
            rows = _ONCE if self._twice(files) else _ALL
            self._engine.execute(f"CREATE OR REPLACE VIEW {name} AS {rows.replace('?', listed)}")
        else:
            self._engine.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT {_NONE} WHERE false")
        return len(files)

    def query(self, text: str, values: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        """The result of a query over views of `view`.

        Raises:
            HistoryError: the files cannot be read together.
        """
        return self._reading(lambda: self._engine.execute(text, list(values)))

    def answer(self, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Columns and rows of one SELECT of a user's, over views of `view`.

        Raises:
            HistoryError: the files cannot be read together.
            duckdb.Error: the text is no SELECT, or not one that can be answered.
        """
        import duckdb

        kinds = [statement.type for statement in self._engine.extract_statements(text)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise duckdb.InvalidInputException("valid: one SELECT")
        self._engine.execute(f"EXPLAIN {text}")  # its mistakes, before damage of files is sought
        result = self.query(text)
        return [column[0] for column in result.description], result.fetchall()

    def _reading(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, which reads files. Damage deep in a file is met only when its
        columns are read: such files are then found, added to `unread`, and left out. (An error of
        DuckDB that quotes their bytes comes as one of UTF-8.)
        """
        import duckdb

        try:
            return work()
        except (duckdb.Error, UnicodeDecodeError) as error:
            if not self._leave_out_damaged():
                problem = str(error).partition("\n")[0]
                raise HistoryError(
                    f"the history cannot be read: {problem}", where=str(self.folder)
                ) from error
        for name in self._views:
            self._make_view(name)
        return self._reading(work)

    def _leave_out_damaged(self) -> int:
        """Reads every column of every file; returns how many files are left out from now on."""
        import duckdb

        count = len(self.unread)
        for file in self.files():
            try:
                rows = f"SELECT max(hash(COLUMNS(*))) FROM ({_ALL})"  # noqa: S608 - names of columns
                self._engine.execute(rows, [patterns([file])]).fetchall()
            except (duckdb.Error, UnicodeDecodeError) as error:
                self.unread.append(_damaged(file, error))
        return len(self.unread) - count

    def _versions(self, files: Sequence[Path]) -> dict[Path, str]:
        if not files:
            return {}
        rows = self._engine.execute(
            "SELECT file_name, decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?",
            [patterns(files), _MARK],
        ).fetchall()
        return {Path(file): version for file, version in rows}

    def _sizes(self, files: Sequence[Path]) -> dict[Path, int]:
        """Bytes of each file's columns before compression, and eight for each of their values: a
        file of a few kB can repeat one value for ever.
        """
        if not files:
            return {}
        rows = self._engine.execute(
            "SELECT file_name, sum(total_uncompressed_size + 8 * num_values) "
            "FROM parquet_metadata(?) GROUP BY file_name",
            [patterns(files)],
        ).fetchall()
        return {Path(file): int(size) for file, size in rows}

    def _twice(self, files: Sequence[Path]) -> bool:
        """Whether any session is in two files."""
        row = self._engine.execute(
            "SELECT 1 FROM read_parquet(?, filename = true) GROUP BY session, machine "
            "HAVING count(DISTINCT filename) > 1 LIMIT 1",
            [patterns(files)],
        ).fetchone()
        return row is not None

    def _holds(self, folder: Path, session: SessionRecord) -> bool:
        """Whether a session is in a compacted file of its month."""
        known = self._reading(
            lambda: self._keys(
                [file for file in folder.glob("compacted-*.parquet") if file in self.files()]
            )
        )
        return (session.id, session.machine.id) in known

    def _keys(self, files: Sequence[Path]) -> list[tuple[str, str]]:
        if not files:
            return []
        keys: list[tuple[str, str]] = self._engine.execute(
            "SELECT DISTINCT session, machine FROM read_parquet(?) ORDER BY ALL", [patterns(files)]
        ).fetchall()
        return keys


def _damaged(file: Path, error: Exception) -> Unread:
    text = str(error).partition("\n")[0].replace(f"'{file}'", "it")
    return Unread(file, f"it cannot be read: {text}")


_COLUMNS = ", ".join(f'"{name}"' for name in COLUMNS)

_NONE = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in COLUMNS.items())
"""Columns that files of before may all lack."""

_ALL = f"""
    SELECT {_COLUMNS} FROM (
        SELECT {_NONE} WHERE false UNION ALL BY NAME
        FROM read_parquet(?, union_by_name = true, hive_partitioning = false))
"""  # noqa: S608 - names of columns

_ONCE = f"""
    SELECT {_COLUMNS}
    FROM (
        SELECT {_NONE} WHERE false UNION ALL BY NAME FROM read_parquet(
            ?, union_by_name = true, filename = true, hive_partitioning = false)
    ) AS every
    SEMI JOIN (
        SELECT session, machine, min(filename) AS filename
        FROM read_parquet(?, union_by_name = true, filename = true, hive_partitioning = false)
        GROUP BY session, machine
    ) AS first USING (session, machine, filename)
"""  # noqa: S608 - the same
"""Every row of some files, a session that is in several from the first of them only."""


def _writing(folder: Path) -> contextlib.AbstractContextManager[None]:
    remedy = "free the disk or make the folder writable, or name another: --perf-history=DIR"
    return writing(folder, "the history", HistoryError, next_step=remedy)


def _names() -> str:
    return ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in COLUMNS.items())
