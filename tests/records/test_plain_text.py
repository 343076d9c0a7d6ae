"""Text from outside: whatever it holds, records can be written, and terminals stay as they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.plain_text import (
    LONGEST,
    encodable,
    printable,
    public_command,
    without_secrets,
)
from pytest_perfgate.records.accuracy import Packed
from pytest_perfgate.records.recipe_record import Failure, Link
from pytest_perfgate.records.verdict import Status, Verdict

ANY_TEXT = st.text(st.characters(categories=["Cs", "Cc", "Cf", "L", "Zs"]))


@given(ANY_TEXT)
def test_every_text_can_be_written_in_utf_8(text: str) -> None:
    """And a text that can be is left as it is."""
    assert len(encodable(text).encode()) >= len(text)
    assert encodable("größe ✓ 🐢") == "größe ✓ 🐢"


@given(ANY_TEXT)
def test_nothing_printable_controls_a_terminal(text: str) -> None:
    """No escape, no carriage return, no sign that reorders text."""
    assert not set(printable(text)) & set("\x1b\r\x07\x9b\u202e\u2066")


def test_a_name_that_is_no_text_does_not_lose_the_record() -> None:
    """Bytes of a file's name arrive as lone surrogates, which JSON and UTF-8 cannot hold."""
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    failure = Failure(stage="build", problem=f"{name} cannot be read", missing=(name,))
    link = Link(step="export", key="", options={name: name}, effect={}, seconds=0.0, cached=False)
    assert "caf\ufffd.png cannot be read" in failure.model_dump_json()
    assert json.loads(link.model_dump_json())["options"] == {"caf\ufffd.png": "caf\ufffd.png"}
    assert str(PerfgateError(name)) == "caf\ufffd.png"


def test_five_megabytes_of_error_text_keep_their_two_ends() -> None:
    """A report of them would open in no browser, and fit into no comment."""
    text = "begin" + "x" * 5_000_000 + "end"
    verdict = Verdict(recipe="r", metric="map", status=Status.ERROR, unit="", reason=text)
    for kept in (verdict.reason, Failure(stage="build", problem=text).problem):
        assert len(kept) < LONGEST + 100
        assert kept.startswith("begin")
        assert kept.endswith("end")
        assert "4,980,008 characters left out" in kept


def test_urls_show_no_secret() -> None:
    """Neither a password, nor a token in place of a user, nor a query."""
    reported = without_secrets(
        "unable to access 'https://ghp_token@github.com/a/b.git?key=1#x': 403"
    )
    assert reported == "unable to access 'https://github.com/a/b.git?…': 403"
    assert without_secrets("https://me:p@ss@host/x (see a?b=c)") == "https://host/x (see a?b=c)"
    assert "token" not in str(PerfgateError("fatal: https://token@host/x"))
    failure = Failure(stage="build", problem="mlflow at http://u:token@host/ is gone")
    assert failure.problem == "mlflow at http://host/ is gone"


def test_a_command_shows_options_and_no_values_of_ini_keys() -> None:
    """`-o` in all of its forms; everything else stays as it was."""
    command = ["pytest", "-o", "key=token", "-okey=token", "--override-ini=key=token", "-k", "a b"]
    assert public_command(command) == (
        "pytest -o 'key=…' '-okey=…' '--override-ini=key=…' -k 'a b'"
    )
    shown = public_command(["pytest", "--perf-mlflow=https://token@host/?auth=token"])
    assert shown == "pytest '--perf-mlflow=https://host/?…'"


def test_an_array_of_no_believable_size_is_not_unpacked() -> None:
    """Half a megabyte of text that asks for 400 is refused before any of it is unpacked."""
    bomb = Packed(dtype="<u1", shape=(400, 1_000_000), data="!")  # no base64: it is not looked at
    with pytest.raises(ValueError, match="400,000,000 bytes"):
        bomb.array()
