"""Fetching from S3: a server of its protocol, with and without credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.locations import child
from pytest_perfgate.locations.transfer import Order

from tests.locations import s3_server

pytest.importorskip("obstore", reason="python -m pip install 'pytest-perfgate[stores]'")
pytest.importorskip("moto.server", reason="python -m pip install 'moto[server]'")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket `models`, and the environment of a user who may read it."""
    with s3_server.bucket("models", monkeypatch) as models:
        yield models


def test_files_of_a_bucket(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph and its weights beside it, by credentials of the environment, of `~/.aws`, and, from
    a public bucket, without any. A private one is refused with what says who asks.
    """
    bucket.put_object(Key="a b/m.onnx", Body=b"graph")
    bucket.put_object(Key="a b/m.bin", Body=b"weights" * 1000)

    def fetch(name: str) -> Any:
        folder = tmp_path / name
        folder.mkdir()
        return child.carry_out(Order("s3://models/a b/m.onnx", folder, ("m.onnx", "m.bin")))

    answer = fetch("environment")
    assert answer.problem == ""
    assert answer.files == ("m.onnx", "m.bin")
    assert len(answer.version) == 32  # S3's ETag of a small object is its MD5
    assert (tmp_path / "environment" / "m.bin").read_bytes() == b"weights" * 1000
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    keys = tmp_path / "credentials"
    keys.write_text("[ci]\naws_access_key_id = user\naws_secret_access_key = hunter2\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    monkeypatch.setenv("AWS_PROFILE", "ci")
    assert fetch("profile").problem == ""
    monkeypatch.delenv("AWS_PROFILE")
    bucket.Object("a b/m.onnx").Acl().put(ACL="public-read")
    bucket.Object("a b/m.bin").Acl().put(ACL="public-read")
    assert fetch("public").problem == ""
    bucket.Object("a b/m.onnx").Acl().put(ACL="private")
    refused = fetch("private")
    assert "access to s3://models/a b/m.onnx is refused" in refused.problem
    assert "AWS_PROFILE" in refused.next_step
    assert not list((tmp_path / "private").iterdir())


@pytest.mark.usefixtures("bucket")
def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A key, and a bucket; never a credential."""
    for url in ("s3://models/none.onnx", "s3://nothere/none.onnx"):
        answer = child.carry_out(Order(url, tmp_path))
        assert f"there is no file none.onnx at {url}" in answer.problem
        assert "hunter2" not in str(answer)
