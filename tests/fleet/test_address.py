"""The address of a fleet is checked before any long work: one error, with the next command."""

from __future__ import annotations

import importlib.util
import socket

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.fleet import address


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Ray is installed: nothing of it is imported to check an address."""
    found = importlib.util.find_spec("json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)


@pytest.mark.parametrize(
    "text",
    [
        "Local",
        "head:10001",
        "ray://",
        "ray://head",
        "ray://head:0",
        "ray://head:99999",
        "ray://head:10001/path",
        "ray://user@head:10001",
        "ray://head:10001?secret=1",
        "http://head:10001",
        "ray://[head:10001",
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_is_no_address_is_refused_with_what_is_valid(text: str) -> None:
    """The value is named, and both forms."""
    with pytest.raises(PerfgateError, match="it is not an address") as caught:
        address.checked(text)
    assert caught.value.where.startswith("--perf-fleet ")
    assert caught.value.valid == address.VALID


@pytest.mark.usefixtures("installed")
def test_a_head_that_takes_connections_is_taken_and_one_that_does_not_is_refused() -> None:
    """The error says how a head is started. An engine on this host asks nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = f"ray://127.0.0.1:{server.getsockname()[1]}"
        assert address.checked(text) == text
    with pytest.raises(
        PerfgateError, match="no cluster answers there: Connection refused"
    ) as caught:
        address.checked(text)
    assert "ray start --head" in caught.value.next_step
    assert address.checked("local") == "local"


def test_without_ray_the_error_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the extra's, before anything is started or asked."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for text in ("local", "ray://127.0.0.1:1"):
        with pytest.raises(PerfgateError, match="Ray is not installed") as caught:
            address.checked(text)
        assert "'pytest-perfgate[fleet]'" in caught.value.next_step
