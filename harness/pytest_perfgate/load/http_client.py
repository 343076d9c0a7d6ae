"""HTTP/1.1 requests without waiting: one thread, sockets that never block, one request on each.

A library that makes an object and a future of each request costs 0.2 ms, a fifth of the lag that a
run may have. Here a request is bytes that were put together before the run; httptools (the parser
of Node.js) reads the answers.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.load import WORDS, Client, Completion

MOST_CONNECTIONS = 1_000
"""Connections of a client: each is an open file of both sides."""

MOST_ANSWER = 1 << 28
"""Bytes of an answer, headers included: a server that never ends one would fill the memory."""

_READ = 1 << 18  # bytes that one call reads
_SPIN = 0.0015  # seconds before an arrival in which the loop asks again and again: epoll's clock
# ticks in milliseconds, and a core that slept needs some tenths of one
_LISTENS = select.EPOLLIN | select.EPOLLRDHUP


@dataclass(frozen=True)
class Answer:
    """A complete answer with the status 200: its headers by lower-case names, and its body."""

    headers: Mapping[str, str]
    body: bytes

    def __len__(self) -> int:
        return len(self.body)


@dataclass(frozen=True)
class Address:
    """Where an endpoint is.

    Attributes:
        connect_timeout: seconds.
        ca_file: certificates to trust; "": those of the system.
    """

    host: str
    port: int
    tls: bool = False
    connect_timeout: float = 5.0
    ca_file: str = ""

    @classmethod
    def of(cls, url: str, **more: Any) -> Address:
        """The address in a URL that begins with http:// or https://."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls, **more)


def request_bytes(url: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A POST request as it goes over the wire; a path of the URL is put before `path`."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path.rstrip('/')}{path} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class HttpClient(Client):
    """Sends requests over connections that it keeps open.

    Args:
        address: of the endpoint.
        requests: whole requests, see `request_bytes`; request number n of a run is the one at
            `n % len(requests)`.
        decode: the outputs of an answer, for `outputs`; a request's number comes first.
        connections: opened before the run; where all of them wait for answers, more are opened, up
            to `MOST_CONNECTIONS`.
        hide: an answer's words without credentials, applied before they are cut.
    """

    def __init__(
        self,
        address: Address,
        requests: Sequence[bytes],
        decode: Callable[[int, Answer], tuple[Any, ...]],
        connections: int = 8,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._address = address
        self._requests = requests
        self._decode = decode
        self._hide = hide
        self._tls = tls_of(address.ca_file) if address.tls else None
        self._poll = select.epoll()
        self._idle: list[_Connection] = []
        self._open: dict[int, _Connection] = {}
        self._by_number: dict[int, _Connection] = {}
        self._ended: list[Completion] = []
        for _ in range(connections):
            self._idle.append(self._connect(wait=True))

    def now(self) -> float:
        """See `Client.now`."""
        return time.perf_counter()

    def send(self, number: int) -> bool:
        """See `Client.send`."""
        if not self._idle and len(self._open) >= MOST_CONNECTIONS:
            return False
        try:
            connection = self._idle.pop() if self._idle else self._connect(wait=False)
        except RuntimeFault as fault:
            self._ended.append(Completion(number, self.now(), fault.problem))
            return True
        self._by_number[number] = connection
        connection.begin(number, self._requests[number % len(self._requests)])
        self._push(connection)
        return True

    def poll(self, until: float) -> Sequence[Completion]:
        """See `Client.poll`."""
        while not self._ended:
            left = until - self.now()
            events = self._poll.poll(left - _SPIN if left > 2 * _SPIN else 0.0)
            for descriptor, event in events:
                self._on_event(self._open[descriptor], event)
            if left <= 0:
                break
        ended, self._ended = self._ended, []
        return ended

    def abandon(self, number: int) -> None:
        """See `Client.abandon`: its connection is closed, for the answer may still come."""
        connection = self._by_number.pop(number, None)
        if connection is not None:
            self._drop(connection)

    def outputs(self, number: int, answer: Any) -> tuple[Any, ...]:
        """See `Client.outputs`."""
        return self._decode(number, answer)

    def close(self) -> None:
        """See `Client.close`."""
        for connection in [*self._open.values()]:
            self._drop(connection)
        self._poll.close()

    def _connect(self, *, wait: bool) -> _Connection:
        """A new connection; of one without TLS nobody needs to `wait` for the other side.

        Raises:
            RuntimeFault: the endpoint takes none.
        """
        address = self._address
        place = (address.host, address.port)
        try:
            if wait or self._tls:
                opened = socket.create_connection(place, timeout=address.connect_timeout)
                if self._tls:
                    opened = self._tls.wrap_socket(opened, server_hostname=address.host)
                opened.setblocking(False)
            else:
                family, _, _, _, where = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0]
                opened = socket.socket(family, socket.SOCK_STREAM)
                opened.setblocking(False)
                opened.connect_ex(where)  # a refusal is heard when the socket is read
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise RuntimeFault(
                f"no connection to {address.host}:{address.port}: {error.strerror or error}"
            ) from error
        connection = _Connection(opened)
        self._open[opened.fileno()] = connection
        self._poll.register(opened.fileno(), _LISTENS)
        return connection

    def _push(self, connection: _Connection) -> None:
        """Writes what the socket takes; the rest goes when it is writable."""
        try:
            whole = connection.write()
        except OSError as error:
            self._fail(connection, f"the connection broke while sending: {error.strerror}")
            return
        if whole != connection.listens_only:
            connection.listens_only = whole
            events = _LISTENS if whole else _LISTENS | select.EPOLLOUT
            self._poll.modify(connection.descriptor, events)

    def _on_event(self, connection: _Connection, event: int) -> None:
        if event & select.EPOLLOUT:
            self._push(connection)
        if event & ~select.EPOLLOUT and connection.descriptor in self._open:
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            closed = connection.read()
        except Exception as error:  # noqa: BLE001 - of the socket, of TLS or of the parser
            self._fail(connection, f"the answer cannot be read: {error}")
            return
        at = self.now()
        if connection.number is None:
            if closed or connection.unexpected:
                self._drop(connection)  # it was idle
            return
        if connection.complete:
            self._end(connection, at)
        elif closed:
            self._fail(connection, f"the endpoint closed the connection {connection.progress()}")

    def _end(self, connection: _Connection, at: float) -> None:
        number, answer = connection.number, Answer(connection.headers, bytes(connection.body))
        status = connection.status
        assert number is not None  # noqa: S101 - the caller's condition, for mypy
        error = "" if status == 200 else f"HTTP {status}: {words_of(answer.body, self._hide)}"
        self._ended.append(Completion(number, at, error, None if error else answer))
        self._by_number.pop(number, None)
        if connection.stays and not connection.unexpected:
            connection.number = None
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _fail(self, connection: _Connection, error: str) -> None:
        number = connection.number
        if number is not None:
            self._by_number.pop(number, None)
            self._ended.append(Completion(number, self.now(), error))
        self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._open.pop(connection.descriptor, None)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        with contextlib.suppress(OSError):
            self._poll.unregister(connection.descriptor)
        connection.socket.close()


class _Connection:
    """A socket with at most one request on it; the callbacks are httptools'."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.descriptor = opened.fileno()
        self.number: int | None = None
        self.listens_only = True
        self.unexpected = False
        self.parser: Any = None
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.complete = False
        self.status, self.stays = 0, False
        self._unsent = memoryview(b"")
        self._size = 0

    def begin(self, number: int, request: bytes) -> None:
        """Takes a request; `write` sends it."""
        from httptools import HttpResponseParser

        self.number, self.complete = number, False
        self.headers, self.body, self._size = {}, bytearray(), 0
        self.parser = HttpResponseParser(self)
        self._unsent = memoryview(request)

    def write(self) -> bool:
        """Sends what the socket takes: whether that was all."""
        while self._unsent:
            try:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
        return True

    def read(self) -> bool:
        """Reads what is there: whether the other side has closed the connection."""
        while True:
            try:
                data = self.socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except (ConnectionResetError, BrokenPipeError):
                return True
            if not data:
                return True
            if self.number is None or self.complete:
                self.unexpected = True  # more than the answer that was asked for
                return False
            self.parser.feed_data(data)
            self._size += len(data)
            if self._size > MOST_ANSWER:
                raise ValueError(f"it is longer than {MOST_ANSWER:,} bytes")
            if len(data) < _READ and not isinstance(self.socket, ssl.SSLSocket):
                return False

    def progress(self) -> str:
        """How far the answer had come when its connection was closed."""
        length = self.headers.get("content-length")
        if length is None:
            return "before it answered"
        return f"after {len(self.body)} of {length} bytes of its answer"

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self.body += part

    def on_message_complete(self) -> None:
        """The end of the answer."""
        # Behind its end the parser has forgotten the answer.
        self.status, self.stays = self.parser.get_status_code(), self.parser.should_keep_alive()
        self.complete = True


def words_of(body: bytes, hide: Callable[[str], str]) -> str:
    """The endpoint's own words in an answer that is an error: KServe's `error`, or the text. It
    is hidden first and cut second: a part of a credential would not be known as one.
    """
    import json

    text = body.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, AttributeError):
        said = json.loads(text).get("error")
        text = said if isinstance(said, str) else text
    return hide(text)[:WORDS] if text else "no words"


def tls_of(ca_file: str) -> ssl.SSLContext:
    """Terms of a connection that trusts the certificates in a file; "": those of the system.

    Raises:
        RuntimeFault: the file has none, or cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise RuntimeFault(
            f"the certificates {ca_file} cannot be read: {error.strerror or error}",
            where="runtime.ca_file",
            valid="a file of certificates in PEM",
        ) from error
