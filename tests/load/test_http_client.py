"""The HTTP client against a real server: good answers, and each way in which an endpoint fails."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.load import http_client
from pytest_perfgate.load.http_client import Address, Answer, HttpClient, request_bytes
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.load.open_loop import run_closed_loop, run_open_loop
from pytest_perfgate.stats.arrivals import poisson_arrivals

from tests.doubles.v2_server import Mode, serving

pytest.importorskip("httptools", reason="python -m pip install 'pytest-perfgate[serving]'")

JSON = (
    b'{"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}],'
    b' "outputs": [{"name": "output"}]}'
)


def client_of(url: str, connections: int = 2) -> HttpClient:
    """A client with one request, which the server doubles."""
    request = request_bytes(url, "/v2/models/model/infer", {"Accept": "*/*"}, JSON)

    def decode(_: int, answer: Answer) -> tuple[Any, ...]:
        split = int(answer.headers["inference-header-content-length"])
        return (np.frombuffer(answer.body[split:], dtype=np.float32),)

    return HttpClient(Address.of(url), [request], decode, connections)


def run_against(mode: Mode, count: int = 50, timeout: float = 5.0) -> tuple[LoadRun, HttpClient]:
    """A run of requests to a server in a mode; and the client, closed."""
    with serving(mode=mode) as url:
        client = client_of(url)
        run = run_open_loop(poisson_arrivals(200.0, count, seed=0), client, timeout)
        client.close()
    return run, client


def test_answers_are_whole_and_connections_are_kept() -> None:
    """Each answer is decoded; where all connections wait, more are opened, and nothing waits."""
    run, client = run_against(Mode(delay=0.05), count=40)
    assert not run.errors
    assert all(
        (client.outputs(number, answer)[0] == [2, 4, 6, 8]).all()
        for number, answer in run.answers.items()
    )
    assert len(run.answers) == 40
    assert run.latency.min() >= 0.05
    assert run.latency.max() < 1.0  # one after the other they would take 2 s


@pytest.mark.parametrize(
    ("mode", "share", "words"),
    [
        (Mode(fails_every=10), 0.1, "HTTP 500: the GPU has fallen off the bus"),
        (Mode(closes_every=10), 0.1, "the endpoint closed the connection before it answered"),
        (Mode(cut=5), 1.0, "the endpoint closed the connection after "),
        (Mode(authorization="of a test"), 1.0, "HTTP 401: a token is needed"),
    ],
)
def test_each_failure_has_the_endpoints_words_and_is_counted(
    mode: Mode, share: float, words: str
) -> None:
    """The others go on; a failure takes the whole timeout."""
    run, _ = run_against(mode)
    assert run.error_rate == share
    assert all(error.startswith(words) for error in run.errors.values()), run.errors
    assert (run.latency[list(run.errors)] >= 5.0).all()


def test_a_slow_endpoint_is_given_up() -> None:
    """The run ends after the timeout."""
    start = time.monotonic()
    run, _ = run_against(Mode(delay=3.0), count=3, timeout=0.2)
    assert set(run.errors.values()) == {"no answer within 0.2 s"}
    assert time.monotonic() - start < 2.0


@pytest.mark.alone
def test_a_stall_of_200_ms_shows_in_every_request_scheduled_in_it() -> None:
    """Over a real socket: none of them is left out because the generator waited."""
    begin = time.monotonic() + 0.4
    mode = Mode(stalls=(begin, begin + 0.2))
    with serving(mode=mode) as url:
        client = client_of(url, connections=32)
        start, now = time.monotonic(), client.now()
        run = run_open_loop(poisson_arrivals(100.0, 80, seed=0), client, 5.0)
        client.close()
    assert abs((client.now() - now) - (time.monotonic() - start)) < 0.05  # one clock's seconds
    offset = begin - start - 0.002  # the begin of the stall in the run's seconds
    inside = (run.scheduled > offset) & (run.scheduled < offset + 0.2)
    assert inside.sum() > 10
    assert (run.latency[inside] >= offset + 0.2 - run.scheduled[inside] - 0.005).all()


def test_an_endpoint_that_is_down_is_an_error_with_its_address() -> None:
    """Before the run; one that goes away later fails each request."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with pytest.raises(RuntimeFault, match=f"no connection to 127.0.0.1:{port}"):
            client_of(f"http://127.0.0.1:{port}")
    with serving() as url:
        client = client_of(url, connections=0)  # an open one would be answered by its thread
    run = run_closed_loop(3, client, 1.0)
    client.close()
    assert run.error_rate == 1.0
    assert all("refused" in words for words in run.errors.values()), run.errors


def test_what_is_no_http_is_an_error() -> None:
    """An answer in another protocol ends its request."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        for _ in range(2):
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")

    threading.Thread(target=answer, daemon=True).start()
    client = client_of(f"http://127.0.0.1:{server.getsockname()[1]}", connections=1)
    run = run_closed_loop(1, client, 2.0)
    client.close()
    server.close()
    assert "the answer cannot be read" in run.errors[0]


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its body or its headers: what is kept of it has a bound."""
    monkeypatch.setattr(http_client, "MOST_ANSWER", 1_000_000)
    begins = b"HTTP/1.1 200 OK\r\n"
    parts = [
        (begins + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        (begins, b"Name: " + b"x" * 4096 + b"\r\n"),
    ]
    for begin, part in parts:
        server = socket.create_server(("127.0.0.1", 0))

        def flood(server: socket.socket = server, begin: bytes = begin, part: bytes = part) -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1000)
                connection.sendall(begin)
                for _ in range(10_000):
                    connection.sendall(part)

        threading.Thread(target=flood, daemon=True).start()
        client = client_of(f"http://127.0.0.1:{server.getsockname()[1]}", connections=1)
        run = run_closed_loop(1, client, 10.0)
        client.close()
        server.close()
        assert run.errors == {0: "the answer cannot be read: it is longer than 1,000,000 bytes"}
