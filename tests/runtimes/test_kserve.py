"""The runtime `kserve` against a real server of the protocol, and each way in which one fails."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, TFLITE, Artifact
from pytest_perfgate.errors import InputError, PerfgateError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load.open_loop import run_closed_loop
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.kserve import KServe, KServeOptions
from pytest_perfgate.runtimes.kserve_session import KServeSession
from pytest_perfgate.runtimes.server_process import ServerProcess

from tests.doubles import v2_server
from tests.doubles.v2_server import Mode, Model, doubling, serving

pytest.importorskip("tritonclient", reason="python -m pip install 'pytest-perfgate[serving]'")

FILE = Artifact(TFLITE, path=Path("model.tflite"))  # of a kind whose names are not read
ONES = Inputs(np.ones((2, 4), np.float32))
SERVER = str(Path(v2_server.__file__))


@contextmanager
def opened(artifact: Artifact = FILE, **options: Any) -> Iterator[KServeSession]:
    """A session, closed afterwards."""
    context = OpenContext(threads=1, folder=Path())
    session = KServe().open(artifact, KServeOptions(**options), context)
    try:
        yield session
    finally:
        session.close()


def problem_with(mode: Mode, **options: Any) -> RuntimeFault:
    """The error of one of 20 requests to a server in a mode."""

    def requests(url: str) -> None:
        with opened(url=url, **options) as session:
            for _ in range(20):
                session.run(ONES)

    with serving(mode=mode) as url, pytest.raises(RuntimeFault) as caught:
        requests(url)
    return caught.value


def open_and_close(artifact: Artifact = FILE, **options: Any) -> None:
    """A session that is asked for nothing."""
    with opened(artifact, **options):
        pass


@pytest.mark.parametrize("binary", [True, False])
def test_outputs_are_those_of_the_server(binary: bool) -> None:
    """As binary tensors and as JSON; the facts name the server, the protocol and the types."""
    with serving(mode=Mode(binary=binary)) as url, opened(url=url, binary=binary) as session:
        (output,) = session.run(ONES)
        assert output.dtype == np.float32
        assert (output == 2).all()
        assert session.facts["server"] == "double 1"
        assert session.facts["protocol"] == "KServe V2, http"
        assert session.facts["precision"] == "FP32"
        client = session.load_client([ONES, Inputs(np.full((2, 4), 3, np.float32))])
        run = run_closed_loop(4, client, 5.0)
        values = [session.decoded(client, n, answer)[0][0, 0] for n, answer in run.answers.items()]
        client.close()
    assert values == [2, 6, 2, 6]
    assert not run.errors


def test_several_inputs_and_16_bits_cross() -> None:
    """Each input by its name in its own type; a 16-bit output comes as 32 bits."""
    model = Model(
        {"image": ("FP16", [-1, 4]), "size": ("INT64", [-1, 2])},
        {"sum": ("FP16", [-1])},
        lambda given: {
            "sum": (given["image"].sum(axis=1) + given["size"].sum(axis=1)).astype(np.float16)
        },
    )
    inputs = Inputs(np.ones((2, 4), np.float32), {"size": np.full((2, 2), 3, np.int64)})
    with serving(model) as url, opened(url=url) as session:
        (output,) = session.run(inputs)
        assert output.dtype == np.float32
        assert output.tolist() == [10, 10]
        with pytest.raises(InputError, match="the network takes image, size"):
            session.run(Inputs(np.ones((2, 4), np.float32)))


@pytest.mark.parametrize(
    ("mode", "words", "advice"),
    [
        (Mode(fails_every=10), "10 requests to .* failed: .*the GPU has fallen off the bus", "log"),
        (Mode(closes_every=5), "1 of 5 requests to .* failed", "log"),
        (Mode(cut=4), "1 of 1 requests to .* failed", "log"),
        (Mode(short=4), "1 of 1 requests to .* failed", "log"),
        (Mode(delay=2.0), "1 of 1 requests to .* failed: timed out", "raise runtime.timeout"),
        (Mode(trickle=0.02), "1 of 1 requests to .* failed: timed out", "raise runtime.timeout"),
        (Mode(authorization="a"), "asked for the model, .* failed: .*a token", "headers_env"),
    ],
)
def test_each_failure_is_one_message(mode: Mode, words: str, advice: str) -> None:
    """In the endpoint's own words, with the number of requests and what to do."""
    error = problem_with(mode, timeout="500 ms")
    assert re.search(words, error.problem), error.problem
    assert advice in error.next_step


def test_an_endpoint_that_is_down_is_named_with_its_remedy() -> None:
    """Before anything is evaluated."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(RuntimeFault, match="refused") as caught, opened(url=url):
            pass
    assert url in caught.value.problem
    assert "runtime.start" in caught.value.next_step


def test_another_model_is_refused(tiny_suite: Path) -> None:
    """By the names of its outputs, its shapes, or because there is none of that name."""
    artifact = Artifact(ONNX, path=tiny_suite / "squares.onnx")
    with serving() as url:
        with pytest.raises(RuntimeFault, match="another model: it has the outputs output"):
            open_and_close(artifact, url=url)
        with pytest.raises(RuntimeFault, match="there is no /v2/models/other here") as caught:
            open_and_close(url=url, model="other")
        assert "runtime.model" in caught.value.next_step
        with opened(url=url) as session, pytest.raises(RuntimeFault, match=r"shape \[-1, 4\]"):
            session.run(Inputs(np.ones((2, 5), np.float32)))
        with opened(url=url, outputs=["nothing"]) as session:
            with pytest.raises(RuntimeFault, match="has no output 'nothing'") as caught:
                session.run(ONES)
            assert caught.value.valid == "output"


def test_credentials_cross_and_are_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from the environment; an endpoint that repeats them is not repeated."""
    monkeypatch.setenv("TOKEN_OF_A_TEST", "Bearer abc123")
    names = {"Authorization": "TOKEN_OF_A_TEST"}

    def repeats(_: Any) -> Any:
        raise KeyError("abc123")

    model = doubling()
    with (
        serving(model, Mode(authorization="Bearer abc123")) as url,
        opened(url=url, headers_env=names) as session,
    ):
        assert (session.run(ONES)[0] == 2).all()
        client = session.load_client([ONES])
        assert not run_closed_loop(2, client, 5.0).errors
        client.close()
        assert "abc123" not in str(session.facts)
        assert session.words("got Bearer abc123") == "got ***"
        model.run = repeats
        with pytest.raises(RuntimeFault) as caught:
            session.run(ONES)
    assert "abc123" not in str(caught.value)
    assert "***" in caught.value.problem
    assert caught.value.__suppress_context__
    monkeypatch.delenv("TOKEN_OF_A_TEST")
    with pytest.raises(RuntimeFault, match="TOKEN_OF_A_TEST is not set"):
        open_and_close(url=url, headers_env=names)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs url, or start"),
        ({"url": "http://example.org:8000"}, "example.org is not this machine"),
        ({"url": "http://127.0.0.1.example.org"}, "is not this machine"),
        ({"url": "http://10.0.0.1:80"}, "allow_remote = true"),
        ({"url": "ftp://127.0.0.1"}, "is no address"),
        ({"url": "http://user:word@127.0.0.1"}, "holds credentials"),
        ({"start": ["serve"]}, "nothing tells the server its port"),
        ({"url": "http://127.0.0.1:1", "timeout": "soon"}, "is not a quantity"),
    ],
)
def test_an_address_of_another_machine_must_be_allowed(options: Any, words: str) -> None:
    """No name is looked up for it."""
    with pytest.raises(ValidationError, match=words):
        KServeOptions(**options)
    assert KServeOptions(url="http://example.org", allow_remote=True).url
    assert KServeOptions(url="http://[::1]:8000").url


def started(tiny_suite: Path, *more: str, **options: Any) -> Any:
    """A session whose server it starts: that of the doubles, on the tiny model."""
    pytest.importorskip("onnxruntime")
    command = ("{python}", SERVER, "--port", "{port}", "--onnx", "{artifact}", *more)
    artifact = Artifact(ONNX, path=tiny_suite / "squares.onnx")
    return opened(artifact, start=command, **options)


def is_gone(pid: int) -> bool:
    """Whether there is no such process."""
    return not Path(f"/proc/{pid}").exists()


def test_the_name_of_a_model_is_quoted_under_load() -> None:
    """It is a part of the path there, too, and neither ends it nor begins a header."""
    with serving() as url, opened(url=url) as session:
        session._transport.options = session._options.model_copy(
            update={"model": "a b\r\nHost: x?#", "version": "1 2"}
        )
        client = session.load_client([ONES])
        client.close()
    first = client._requests[0].partition(b"\r\n")[0]
    assert first == b"POST /v2/models/a%20b%0D%0AHost%3A%20x%3F%23/versions/1%202/infer HTTP/1.1"


def test_a_server_is_started_on_cores_of_its_own_and_ended(tiny_suite: Path) -> None:
    """It serves the recipe's artifact; the generator's core is none of its own."""
    before = os.sched_getaffinity(0)
    images = np.zeros((1, 3, 64, 64), np.float32)
    with started(tiny_suite) as session:
        outputs = session.run(Inputs(images))
        pid = session._server._process.pid
        assert len(outputs) == 2
        assert not is_gone(pid)
        if len(before) > 1:
            assert session.apart
            assert not os.sched_getaffinity(pid) & os.sched_getaffinity(0)
    assert is_gone(pid)
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are Linux's")
def test_a_server_whose_threads_leave_its_cores_gets_no_load(tiny_suite: Path) -> None:
    """As those of ONNX Runtime do by themselves: they would take turns with the generator."""
    pytest.importorskip("onnxruntime")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("server and generator need a core each")
    program = (
        "import os, runpy, sys; os.sched_setaffinity(0, range(os.cpu_count())); "
        f"sys.argv[0] = {SERVER!r}; runpy.run_path({SERVER!r}, run_name='__main__')"
    )
    command = ("{python}", "-c", program, "--port", "{port}", "--onnx", "{artifact}")
    artifact = Artifact(ONNX, path=tiny_suite / "squares.onnx")
    images = Inputs(np.zeros((1, 3, 64, 64), np.float32))
    with opened(artifact, start=command) as session:
        session.run(images)
        with pytest.raises(RuntimeFault, match="threads of the server may run on core") as caught:
            session.load_client([images])
    assert "intra_op_num_threads" in caught.value.next_step
    with started(tiny_suite) as session:
        session.load_client([images]).close()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("{python}", "-c", "import sys; sys.exit('no such GPU')"), "last words: no such GPU"),
        (("{python}", "-c", "import time; time.sleep(60)"), "was not ready after 0.5 s"),
        (("no-such-program",), "cannot be started: no-such-program"),
        (("{python}", "{prot}"), "'{prot}' has an unknown place"),
    ],
)
def test_a_server_that_does_not_start_is_an_error_with_its_words(
    command: tuple[str, ...], words: str
) -> None:
    """And nothing is left of it, nor of its place."""
    before, start = os.sched_getaffinity(0), time.monotonic()
    with (
        pytest.raises(PerfgateError, match=words),
        opened(start=command, start_timeout="500 ms", environment={"A": "{port} {port_other}"}),
    ):
        pass
    assert time.monotonic() - start < 20
    assert os.sched_getaffinity(0) == before


def test_another_server_is_not_measured_in_its_place(tiny_suite: Path) -> None:
    """One that listens at a fixed url already, and one that answers when the own one has ended."""
    ends = ("{python}", "-c", "import sys; sys.exit('address in use')")
    with serving() as url:
        with pytest.raises(RuntimeFault, match="another server listens on") as caught:
            open_and_close(url=url, start=ends)
        assert "{port}" in caught.value.valid
        server = ServerProcess([sys.executable, "-c", ends[2]], {}, {})
        try:
            server._process.wait(20)
            with pytest.raises(RuntimeFault, match="last words: address in use"):
                server.wait_until(lambda: True, 20)
        finally:
            server.stop()
    with started(tiny_suite) as session:
        images = Inputs(np.zeros((1, 3, 64, 64), np.float32))
        session._server._process.kill()
        session._server._process.wait()
        for requests in (lambda: session.run(images), lambda: session.load_client([images])):
            with pytest.raises(RuntimeFault, match="the server ended before the requests"):
                requests()


def test_the_program_of_a_server_is_a_requirement() -> None:
    """Where it is missing, the recipe is skipped with its name."""
    (missing,) = (
        one
        for one in KServe().requires_with(KServeOptions(start=["no-such-program", "{port}"]))
        if one.missing
    )
    assert missing.module == "no-such-program"
    options = KServeOptions(start=[sys.executable, "{port}"])
    assert not any(one.missing for one in KServe().requires_with(options))
