"""Pipes between two processes: bytes are written whole, lines and frames are read whole.

A message is one line: the name of its type, a space, its fields as JSON. The name comes first, so
that a reader builds the validator of that one type and of no other.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pytest_perfgate.errors import PerfgateError

_CHUNK = 1 << 16  # the capacity of a pipe on Linux: more never arrives at once

_Message = TypeVar("_Message")


class PipeClosed(Exception):
    """The other side has closed its end, or has exited."""


class PipeSilent(Exception):
    """The other side sent nothing within the time that it was given."""


class UnknownMessage(PerfgateError):
    """A line that is no message of the protocol."""


def write_whole(fd: int, data: bytes) -> None:
    """Writes all of `data` to a pipe.

    Raises:
        BrokenPipeError: the other side has closed its end.
    """
    # One write to a pipe may take a part only, as soon as it is larger than PIPE_BUF (pipe(7)).
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class PipeReader:
    """The reading end of a pipe."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._rest = bytearray()

    def receive(self) -> tuple[list[bytes], bool]:
        """The lines that one read completes, and whether the pipe has ended.

        Reads once: the caller knows from `select` that something is there, so that a side which
        sends without end cannot keep it here.
        """
        searched = len(self._rest)
        chunk = os.read(self.fd, _CHUNK)
        self._rest += chunk
        end = self._rest.rfind(b"\n", searched)
        if end < 0:
            return [], not chunk
        lines = bytes(self._rest[:end]).split(b"\n")
        del self._rest[: end + 1]
        return lines, not chunk

    def line(self, seconds: float | None = None) -> bytes:
        """The next line, without its end.

        Raises:
            PipeClosed: the pipe has ended.
            PipeSilent: the line was not complete after `seconds`.
        """
        while (end := self._rest.find(b"\n")) < 0:
            self._fill(_CHUNK, seconds)
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def frame(self, size: int, marker: bytes, seconds: float) -> bytes | None:
        """The next `size` bytes where they begin with `marker` (one byte); None where a line
        comes instead.

        Raises:
            PipeClosed: the pipe has ended.
            PipeSilent: the bytes were not there after `seconds`.
        """
        while not self._rest or (self._rest.startswith(marker) and len(self._rest) < size):
            self._fill(size, seconds)
        if not self._rest.startswith(marker):
            return None
        data = bytes(self._rest[:size])
        del self._rest[:size]
        return data

    def close(self) -> None:
        """Closes this end."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _fill(self, size: int, seconds: float | None) -> None:
        # Without a limit the read itself waits: no `select` in a worker that has only this to do.
        if seconds is not None and not select.select([self.fd], [], [], max(0.0, seconds))[0]:
            raise PipeSilent
        chunk = os.read(self.fd, size)
        if not chunk:
            raise PipeClosed
        self._rest += chunk


class Vocabulary(Generic[_Message]):
    """The types of message that one side of a pipe sends, each a frozen dataclass.

    Dataclasses, because they cost nothing until one is sent: pydantic builds the validator of a
    model when its module is imported, and that of a dataclass when it is first asked for.
    """

    def __init__(self, kinds: Iterable[type[Any]]) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._adapters: dict[str, TypeAdapter[Any]] = {}

    @property
    def names(self) -> list[str]:
        """The names of the types of message."""
        return sorted(self._kinds)

    def encode(self, message: _Message) -> bytes:
        """The message as a line.

        Raises:
            ValueError: a number in it is not finite.
            PydanticSerializationError: a value has no form in JSON.
        """
        name = type(message).__name__
        plain = self._adapter(name).dump_python(message, mode="json")
        # Not pydantic's own JSON: that writes null for NaN, and a value that is none would arrive
        # as one that was not measured.
        return f"{name} {json.dumps(plain, allow_nan=False)}\n".encode()

    def decode(self, line: bytes) -> _Message:
        """The message of a line, validated.

        Raises:
            UnknownMessage: the type is unknown, or a field does not fit it.
        """
        first_word, _, fields = line.partition(b" ")
        name = first_word.decode(errors="replace")
        if name not in self._kinds:
            raise UnknownMessage(
                f"{_excerpt(line)!r} is not a message", valid=", ".join(self.names)
            )
        try:
            message: _Message = self._adapter(name).validate_json(fields)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise UnknownMessage(
                f"{name}.{place}: {first['msg']}" if place else first["msg"],
                where=_excerpt(line),
            ) from error
        return message

    def _adapter(self, name: str) -> TypeAdapter[Any]:
        if name not in self._adapters:
            self._adapters[name] = TypeAdapter(self._kinds[name])
        return self._adapters[name]


def _excerpt(line: bytes) -> str:
    text = line[:80].decode(errors="replace")
    return text if len(line) <= 80 else f"{text}…"
