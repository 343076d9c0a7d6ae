"""The runtime `kserve` over gRPC: answers, failures, and a load."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import TFLITE, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load.open_loop import run_open_loop
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.kserve import KServe, KServeOptions
from pytest_perfgate.runtimes.kserve_session import KServeSession
from pytest_perfgate.stats.arrivals import poisson_arrivals

pytest.importorskip("tritonclient.grpc", reason="python -m pip install 'pytest-perfgate[serving]'")

from tests.doubles.v2_grpc_server import serving_grpc
from tests.doubles.v2_server import Mode, Model

ONES = Inputs(np.ones((2, 4), np.float32))


def session_at(url: str, **options: Any) -> KServeSession:
    """A session over gRPC."""
    artifact, terms = Artifact(TFLITE, path=Path("x")), OpenContext(1, Path())
    return KServe().open(artifact, KServeOptions(url=url, protocol="grpc", **options), terms)


def test_brain_floats_cross_and_come_as_32_bits() -> None:
    """In one request and under load."""
    pytest.importorskip("ml_dtypes")
    shape = ("BF16", [-1, 4])
    model = Model({"input": shape}, {"output": shape}, lambda given: {"output": given["input"]})
    with serving_grpc(model) as url:
        session = session_at(url)
        client = session.load_client([ONES])
        run = run_open_loop(poisson_arrivals(300.0, 3, seed=0), client, 5.0)
        outputs = [*session.run(ONES), *session.decoded(client, 0, run.answers[0])]
        client.close()
        session.close()
    assert [output.dtype.name for output in outputs] == ["float32"] * 2
    assert all((output == 1).all() for output in outputs)


def test_answers_and_failures_cross_as_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint's own words, the number of requests; credentials as metadata of the call."""
    monkeypatch.setenv("TOKEN_OF_A_TEST", "abc123")
    names = {"Authorization": "TOKEN_OF_A_TEST"}
    with serving_grpc(mode=Mode(fails_every=3, authorization="abc123")) as url:
        session = session_at(url, headers_env=names)
        assert session.facts["server"] == "double 2"
        assert (session.run(ONES)[0] == 2).all()
        session.run(ONES)
        with pytest.raises(RuntimeFault, match=r"1 of 3 requests .* fallen off the bus"):
            session.run(ONES)
        client = session.load_client([ONES])
        run = run_open_loop(poisson_arrivals(300.0, 30, seed=0), client, 5.0)
        assert run.error_rate == pytest.approx(10 / 30)
        assert all("fallen off the bus" in words for words in run.errors.values())
        outputs = [session.decoded(client, number, one) for number, one in run.answers.items()]
        assert all((output == 2).all() for (output,) in outputs)
        session.close()
        with pytest.raises(RuntimeFault, match="there is no other") as caught:
            session_at(url, model="other", headers_env=names)
        assert "runtime.model" in caught.value.next_step
        with pytest.raises(RuntimeFault, match="a token is needed") as caught:
            session_at(url)
        assert "headers_env" in caught.value.next_step


def test_a_port_is_no_status() -> None:
    """No server is at a port whose digits are also those of a refusal: start one."""
    with socket.socket() as taken:  # held, so that no server of another test gets the port
        for port in range(40_100, 40_200):
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                break
        with pytest.raises(RuntimeFault) as caught:
            session_at(f"http://127.0.0.1:{taken.getsockname()[1]}", timeout="1 s")
    assert "runtime.start" in caught.value.next_step
