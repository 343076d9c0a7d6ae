"""A history in a database of PostgreSQL, with a real server: as in an object store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_perfgate.errors import HistoryError, PerfgateError
from pytest_perfgate.history.append import appended
from pytest_perfgate.history.shared import place_of
from pytest_perfgate.locations.url import parse_folder

from tests.history import nights
from tests.history.nights import Night
from tests.locations import postgresql_server

psycopg = pytest.importorskip(
    "psycopg", reason="python -m pip install 'pytest-perfgate[postgresql]'"
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a server with an empty database."""
    with postgresql_server.server(tmp_path_factory.mktemp("postgresql")) as number:
        yield number


@pytest.fixture
def url(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in it; who asks is a superuser, until a test says otherwise."""
    monkeypatch.setenv("PGUSER", postgresql_server.USER)
    return f"postgresql://127.0.0.1:{port}/postgres/team/history"


def ask(url: str, query: str, *values: str) -> list[tuple[object, ...]]:
    """What the database answers to its owner."""
    server = url.removesuffix("/team/history")
    with psycopg.connect(server, user=postgresql_server.USER, autocommit=True) as connection:
        done = connection.execute(query, values)
        return done.fetchall() if done.description else []


def test_runners_see_each_others_sessions(url: str, tmp_path: Path) -> None:
    """Two end at once in an empty database: one makes the table, and none overwrites the other. A
    past month becomes one file for both.
    """
    runners = [nights.runner(url, tmp_path / name) for name in ("a", "b")]
    places = [place for place, _ in runners]

    def end(number: int) -> tuple[str, ...]:
        return tuple(appended(nights.session(number, Night()), runners[number][1]).warnings)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(end, range(2))) == [(), ()]
    assert [nights.seen_from(place) for place in places] == [2, 2]
    (file, _) = places[0].folder.glob("month=*/*.parquet")
    path = file.relative_to(places[0].folder).as_posix()
    ask(url, "UPDATE perfgate_history SET content = 'of another' WHERE path = %s", path)
    file.write_bytes(b"ours")
    (places[0].folder / ".known.json").unlink()
    places[0].exchange()
    assert file.read_bytes() == b"of another"  # what the store has under a name stands
    places[0].exchange(gone=[file])
    assert ask(url, "SELECT DISTINCT folder, count(*) OVER () FROM perfgate_history") == [
        ("team/history", 1)
    ]
    places[1].exchange()
    assert len(list(places[1].folder.glob("month=*/*.parquet"))) == 1


@pytest.mark.parametrize(
    ("user", "database", "words"),
    [
        (None, "nowhere", 'database "nowhere" does not exist'),
        ("guest", "postgres", "permission denied"),
    ],
)
def test_what_the_database_refuses_is_named(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, database: str, words: str
) -> None:
    """In its own words, with what to do; what is here stays here."""
    if user:
        ask(url, f"CREATE USER {user}")
        monkeypatch.setenv("PGUSER", user)
    place = place_of(url.replace("/postgres/", f"/{database}/"), tmp_path, tmp_path / "cache")
    (place.folder / "month=2026-01").mkdir(parents=True)
    file = place.folder / "month=2026-01" / "a.parquet"
    file.write_bytes(b"x")
    with pytest.raises(HistoryError, match=words) as caught:
        place.exchange()
    assert caught.value.next_step
    assert file.exists()


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://",
        "postgresql://host",
        "postgresql://host:port/database",
        "postgresql://host/database/../x",
        "postgresql://user:secret@host/database",
        "postgresql://host/database?sslmode=disable",
        "postgresql://host/data base",
    ],
)
def test_what_is_no_folder_in_a_database_is_refused(text: str) -> None:
    """With what is valid, and without a password in the message."""
    with pytest.raises(PerfgateError) as caught:
        parse_folder(text)
    assert caught.value.valid
    assert "secret" not in str(caught.value)


def test_the_parts_of_a_folder_in_a_database() -> None:
    """Host and port are libpq's where they are left out, and the folder may be."""
    location = parse_folder("postgresql:///nights")
    assert (location.inner, location.name) == ("nights", "")
    location = parse_folder("postgresql://db:5433/nights/team/history/")
    assert (location.inner, location.name) == ("nights", "team/history")
    assert location.url == "postgresql://db:5433/nights/team/history"
