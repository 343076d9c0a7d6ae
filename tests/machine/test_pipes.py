"""Messages over a pipe: whole, typed, and refused when they are none."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.machine.pipes import (
    PipeClosed,
    PipeReader,
    PipeSilent,
    UnknownMessage,
    Vocabulary,
    write_whole,
)


@dataclass(frozen=True)
class Point:
    """A message of two fields."""

    name: str
    value: float
    more: Any = None


@dataclass(frozen=True)
class Stop:
    """A message of none."""


WORDS: Vocabulary[Point | Stop] = Vocabulary([Point, Stop])


@pytest.fixture
def pipe() -> Iterator[tuple[PipeReader, int]]:
    """The reading end, and the descriptor of the writing end."""
    read, write = os.pipe()
    reader = PipeReader(read)
    yield reader, write
    reader.close()
    os.close(write)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), plain)
def test_what_is_decoded_is_what_was_encoded(name: str, value: float, more: Any) -> None:
    """Line ends and any character included: a message is one line."""
    line = WORDS.encode(Point(name, value, more))
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert WORDS.decode(line[:-1]) == Point(name, value, more)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "'' is not a message"),
        (b"Pointer {}", "'Pointer {}' is not a message"),
        (b"\xff\xfe {}", "is not a message"),
        (b'Point {"name": "a"}', "Point.value: Field required"),
        (b'Point {"name": 1, "value": 2}', "Point.name: Input should be a valid string"),
        (b"Point {", "Invalid JSON"),
    ],
)
def test_a_line_that_is_no_message_is_refused(line: bytes, said: str) -> None:
    """With the field and what it should be."""
    with pytest.raises(UnknownMessage, match=said):
        WORDS.decode(line)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_never_sent(value: float) -> None:
    """It would arrive as a value that was not measured."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        WORDS.encode(Point("a", value))


def test_a_message_larger_than_the_pipe_arrives_whole(pipe: tuple[PipeReader, int]) -> None:
    """A write may take a part only, and a read gives what is there."""
    reader, write = pipe
    message = Point("x" * 300_000, 1.0)
    writer = threading.Thread(target=write_whole, args=(write, WORDS.encode(message) * 2))
    writer.start()
    assert WORDS.decode(reader.line(5.0)) == message
    lines: list[bytes] = []
    while not lines:
        lines, closed = reader.receive()
        assert not closed
    writer.join()
    assert [WORDS.decode(line) for line in lines] == [message]


def test_a_frame_is_told_from_a_line(pipe: tuple[PipeReader, int]) -> None:
    """Where times are awaited an error may arrive, and the other way round nothing is lost."""
    reader, write = pipe
    write_whole(write, b"=\n\n\n=1234" + WORDS.encode(Stop()) + b"=abcd")
    assert reader.frame(5, b"=", 1.0) == b"=\n\n\n="
    write_whole(write, b"")
    assert reader.line(1.0).startswith(b"1234")
    assert reader.frame(5, b"=", 1.0) == b"=abcd"
    write_whole(write, WORDS.encode(Stop()))
    assert reader.frame(5, b"=", 1.0) is None
    assert WORDS.decode(reader.line(1.0)) == Stop()


def test_silence_and_the_end_of_a_pipe_are_different(pipe: tuple[PipeReader, int]) -> None:
    """A reader waits as long as it is told, and not longer."""
    reader, write = pipe
    write_whole(write, b"half a line")
    with pytest.raises(PipeSilent):
        reader.line(0.01)
    os.close(os.dup(write))
    read, other = os.pipe()
    os.close(other)
    ended = PipeReader(read)
    with pytest.raises(PipeClosed):
        ended.line(5.0)
    assert ended.receive() == ([], True)
    ended.close()
