"""A folder in a PostgreSQL database: a row for each file, through psycopg."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations.object_stores import first_line
from pytest_perfgate.locations.shared_folder import SharedFolder
from pytest_perfgate.locations.url import Location

REQUIRES = registry.from_extra("psycopg", "postgresql")

TABLE = "perfgate_history"
_MADE = f"""\
CREATE TABLE IF NOT EXISTS {TABLE} (
    folder text NOT NULL,
    path text NOT NULL,
    content bytea NOT NULL,
    added timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (folder, path)
)"""
_LOCK = 0x70657266  # of an advisory lock: two sessions that make the table at once would collide
_PATIENCE = 10  # seconds for a connection
_STATEMENT = "60s"


class DatabaseFolder(SharedFolder):
    """A folder below `postgresql://`. User, password and encryption come from the environment and
    the files of libpq (PGUSER, PGPASSWORD, PGSSLMODE, ~/.pgpass), as for psql.
    """

    def __init__(self, location: Location) -> None:
        import psycopg

        self._location = location
        self._folder = location.name
        parts = urlsplit(location.url)
        self._used = threading.Lock()
        self._connection = psycopg.connect(
            host=parts.hostname,
            port=parts.port,
            dbname=location.inner,
            connect_timeout=_PATIENCE,
            options=f"-c statement_timeout={_STATEMENT}",
            application_name="pytest-perfgate",
            autocommit=True,
        )
        self._make()

    def _make(self) -> None:
        """Makes the table where it is not there: who may only add to it need not be allowed to."""
        there = self._connection.execute("SELECT to_regclass(%s)", [TABLE]).fetchone()
        if there is not None and there[0] is None:
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                self._connection.execute(_MADE)

    @override
    def _sizes(self) -> list[tuple[str, int]]:
        with self._used:
            return self._connection.execute(
                f"SELECT path, length(content) FROM {TABLE} WHERE folder = %s",  # noqa: S608 - a constant
                [self._folder],
            ).fetchall()

    @override
    def read(self, path: str) -> bytes:
        with self._used:
            row = self._connection.execute(
                f"SELECT content FROM {TABLE} WHERE folder = %s AND path = %s",  # noqa: S608 - a constant
                [self._folder, path],
                binary=True,
            ).fetchone()
        if row is None:
            raise FileNotFoundError(f"{path} was deleted meanwhile")
        return bytes(row[0])

    @override
    def add(self, path: str, content: bytes) -> bool:
        with self._used:
            done = self._connection.execute(
                f"INSERT INTO {TABLE} (folder, path, content) VALUES (%s, %s, %b) "  # noqa: S608 - a constant
                "ON CONFLICT DO NOTHING",
                [self._folder, path, content],
            )
        return done.rowcount == 1

    @override
    def delete(self, paths: Iterable[str]) -> None:
        with self._used:
            self._connection.execute(
                f"DELETE FROM {TABLE} WHERE folder = %s AND path = ANY(%s)",  # noqa: S608 - a constant
                [self._folder, list(paths)],
            )

    @override
    def refusal(self, error: Exception) -> FetchError | None:
        return refusal(self._location, error)


def refusal(location: Location, error: Exception) -> FetchError | None:
    """An error of the database in words, None where it is none of its."""
    import psycopg

    words = first_line(error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return FetchError(
            f"access to {location.url} is refused: {words}",
            next_step=f"GRANT SELECT, INSERT, DELETE ON {TABLE} TO the user; who makes the table "
            "needs CREATE on its schema",
        )
    if isinstance(error, (psycopg.Error, FileNotFoundError)):
        return FetchError(
            f"{location.url} cannot be read and written: {words}",
            next_step="PGUSER, PGPASSWORD, PGSSLMODE and ~/.pgpass say who you are, as for psql; "
            "nothing is lost, and the next exchange goes on",
        )
    return None
