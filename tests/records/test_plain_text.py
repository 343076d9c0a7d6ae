"""Text from outside: whatever it holds, records can be written, and terminals stay as they are."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.plain_text import LONGEST, encodable, printable
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
