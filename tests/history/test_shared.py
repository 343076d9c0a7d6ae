"""A history in an object store: many machines add to it, and none overwrites another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate import registry
from pytest_perfgate.cli.main import main
from pytest_perfgate.errors import FetchError, HistoryError, PerfgateError
from pytest_perfgate.history.append import appended
from pytest_perfgate.history.shared import place_of
from pytest_perfgate.locations import child, client
from pytest_perfgate.locations.client import Place
from pytest_perfgate.locations.transfer import Answer, Exchange

from tests.conftest import Project
from tests.history import nights
from tests.history.nights import Night
from tests.locations import s3_server

pytest.importorskip("obstore", reason="python -m pip install 'pytest-perfgate[stores]'")
pytest.importorskip("moto.server", reason="python -m pip install 'moto[server]'")

URL = "s3://nights/team/history"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The empty bucket of `URL`."""
    with s3_server.bucket("nights", monkeypatch) as empty:
        yield empty


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchanges in this process: starting another takes longer than what it does."""

    def carried_out(order: Exchange, _: None, __: Place) -> Answer:
        answer = child.carry_out(order)
        if answer.problem:
            raise FetchError(answer.problem, next_step=answer.next_step)
        return answer

    monkeypatch.setattr(client, "carried_out", carried_out)


def keys(bucket: Any) -> list[str]:
    """What is in the bucket."""
    return sorted(entry.key for entry in bucket.objects.all())


def test_runners_see_each_others_sessions(bucket: Any, tmp_path: Path) -> None:
    """Each adds its own at its end; a session that is added twice is in the store once, and what
    else lies in the bucket is nobody's business.
    """
    bucket.put_object(Key="team/history/month=2026-01/deeper/x.parquet", Body=b"x")
    bucket.put_object(Key="team/history/notes.txt", Body=b"x")
    first, settings = nights.runner(URL, tmp_path / "1")
    second, others = nights.runner(URL, tmp_path / "2")
    assert appended(nights.session(0, Night()), settings).warnings == ()
    assert appended(nights.session(1, Night()), others).warnings == ()
    assert appended(nights.session(0, Night()), others).warnings == ()
    assert len(keys(bucket)) == 2 + 2
    assert (nights.seen_from(first), nights.seen_from(second)) == (2, 2)
    assert not [*tmp_path.rglob("x.parquet"), *tmp_path.rglob("notes.txt")]


@pytest.mark.usefixtures("in_process")
def test_a_session_that_could_not_be_sent_is_sent_the_next_time(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a session warns, and stays green; nothing of it is lost. What the store has under
    the name of a session stands.
    """
    place, settings = nights.runner(URL, tmp_path)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        (warning,) = appended(nights.session(0, Night()), settings).warnings
    assert URL in warning
    assert "nothing is lost" in warning
    assert "hunter2" not in warning
    (file,) = place.folder.glob("month=*/*.parquet")
    key = f"team/history/{file.relative_to(place.folder).as_posix()}"
    place.exchange()
    assert keys(bucket) == [key]
    (place.folder / ".known.json").unlink()
    bucket.put_object(Key=key, Body=b"of another runner")
    place.exchange()
    assert file.read_bytes() == b"of another runner"
    bucket.Object(key).delete()
    place.exchange()
    assert (file.exists(), keys(bucket)) == (False, [])


@pytest.mark.usefixtures("bucket", "in_process")
def test_a_bucket_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what to do."""
    place = place_of("s3://nowhere/x", tmp_path, tmp_path / "cache")
    with pytest.raises(HistoryError) as caught:
        place.exchange()
    assert "s3://nowhere/x cannot be read and written" in caught.value.problem


@pytest.mark.usefixtures("in_process")
def test_a_key_that_cannot_be_listed_is_named(bucket: Any, tmp_path: Path) -> None:
    """S3 allows it, and its client lists nothing of the folder for it."""
    bucket.put_object(Key="team/history//x", Body=b"x")
    place, _ = nights.runner(URL, tmp_path)
    with pytest.raises(HistoryError, match="team/history//x") as caught:
        place.exchange()
    assert "remove the object of that key" in str(caught.value)


@pytest.mark.usefixtures("in_process")
def test_commands_read_and_compact_it(
    bucket: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A past month becomes one file in the store, and on every machine that looks."""
    monkeypatch.chdir(tmp_path)
    Path("json").mkdir()
    files = nights.write(tmp_path / "json", [Night()] * 3)
    other, settings = nights.runner(URL, tmp_path / "other")
    appended(nights.session(0, Night()), settings)
    assert main(["history", "import", *map(str, files), f"--history={URL}"]) == 0
    assert f"2 added to {URL}, 1 there already" in capsys.readouterr().out
    assert nights.seen_from(other) == 3
    assert main(["history", "compact", f"--history={URL}"]) == 0
    (key,) = keys(bucket)
    assert "compacted-" in key
    assert nights.seen_from(other) == 3
    assert len(list(other.folder.glob("month=*/*.parquet"))) == 1
    shutil.rmtree(".perfgate")
    assert main(["report", f"--history={URL}"]) == 0
    assert "3 sessions" in Path("reports/nightly.html").read_text()
    assert main(["history", "list", "--history=s3://nights/other"]) == 0
    assert "no sessions in s3://nights/other" in capsys.readouterr().out


def test_what_is_no_folder_in_a_store_is_refused_before_work(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The option names what is valid; nothing is measured."""
    result = project.pytest("--perf", "--perf-history=https://host/history")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--perf-history: 'https://host/history' is no folder in a store"])
    for text in ("s3://user:secret@bucket/x", "s3://bucket/../x", "s3://bucket/a b", "s3:///x"):
        with pytest.raises(PerfgateError):
            place_of(text, tmp_path, tmp_path)
    monkeypatch.setattr(registry.Requirement, "missing", True)
    with pytest.raises(PerfgateError, match="obstore"):
        place_of(URL, tmp_path, tmp_path)
