"""Endpoints over TLS, whose certificates a certificate authority of the test has signed."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, TFLITE, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load.open_loop import run_closed_loop
from pytest_perfgate.runtimes import OpenContext, Runtime
from pytest_perfgate.runtimes.http_service import HttpService
from pytest_perfgate.runtimes.kserve import KServe, KServeOptions

pytest.importorskip("trustme", reason="python -m pip install trustme")
pytest.importorskip("tritonclient.grpc", reason="python -m pip install 'pytest-perfgate[serving]'")

import trustme

from tests.doubles import picture_server, v2_server
from tests.doubles.picture_server import Pictures
from tests.doubles.v2_grpc_server import serving_grpc
from tests.doubles.v2_server import Model, serving

IMAGE = Inputs(np.ones((1, 3, 2, 2), np.float32))
MEAN = Model(
    {"x": ("FP32", [-1, 3, 2, 2])},
    {"mean": ("FP32", [-1])},
    lambda given: {"mean": given["x"].mean(axis=(1, 2, 3))},
)
FILE = Artifact(TFLITE, path=Path("model.tflite"))
TERMS = OpenContext(1, Path())
Certificate = Any
Served = Callable[[Certificate], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def authority() -> Any:
    """A certificate authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: Any, tmp_path: Path) -> str:
    """Its certificate."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


def context_of(certificate: Certificate) -> ssl.SSLContext:
    """Terms of a server with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def over_http(certificate: Certificate) -> AbstractContextManager[str]:
    """A server of the protocol over HTTP."""
    return serving(MEAN, tls=context_of(certificate))


def over_grpc(certificate: Certificate) -> AbstractContextManager[str]:
    """A server of the protocol over gRPC."""
    chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
    return serving_grpc(MEAN, tls=(certificate.private_key_pem.bytes(), chain))


def of_pictures(certificate: Certificate) -> AbstractContextManager[str]:
    """A service that takes pictures."""
    return serving(MEAN, kind=Pictures, tls=context_of(certificate))


KINDS = [
    pytest.param(KServe(), {}, over_http, id="kserve over HTTP"),
    pytest.param(KServe(), {"protocol": "grpc"}, over_grpc, id="kserve over gRPC"),
    pytest.param(HttpService(), {"outputs": [{"field": "mean"}]}, of_pictures, id="http"),
]


@contextmanager
def opened(runtime: Runtime, artifact: Artifact = FILE, **options: Any) -> Iterator[Any]:
    """A session, closed afterwards."""
    session = runtime.open(artifact, runtime.Options.model_validate(options), TERMS)
    try:
        yield session
    finally:
        session.close()


@pytest.mark.parametrize(("runtime", "options", "served"), KINDS)
def test_a_named_authority_is_trusted_by_requests_and_load(
    authority: Any, ca_file: str, runtime: Runtime, options: Any, served: Served
) -> None:
    """The answers are those of a server without TLS."""
    with (
        served(authority.issue_cert("127.0.0.1")) as url,
        opened(runtime, url=url, ca_file=ca_file, **options) as session,
    ):
        assert url.startswith("https://")
        assert session.run(IMAGE)[0].tolist() == [1]
        client = session.load_client([IMAGE])
        run = run_closed_loop(5, client, 5.0)
        assert [session.decoded(client, *one)[0].tolist() for one in run.answers.items()] == [
            [1]
        ] * 5
        client.close()


@pytest.mark.parametrize(("runtime", "options", "served"), KINDS)
def test_a_certificate_that_is_not_trusted_is_one_error(
    authority: Any, ca_file: str, runtime: Runtime, options: Any, served: Served
) -> None:
    """Of an authority that nobody named, and of another host; with what to set."""
    with (
        served(authority.issue_cert("127.0.0.1")) as url,
        pytest.raises(RuntimeFault, match=r"(?i)certificate.verify.failed") as caught,
        opened(runtime, url=url, **options),
    ):
        pass
    assert url in caught.value.problem
    assert "runtime.ca_file" in caught.value.next_step
    with (
        served(authority.issue_cert("elsewhere.example")) as url,
        pytest.raises(RuntimeFault) as caught,
        opened(runtime, url=url, ca_file=ca_file, **options),
    ):
        pass
    assert re.search(r"(?i)certificate is not valid for '127|hostname", caught.value.problem)
    assert "runtime.ca_file" in caught.value.next_step


@pytest.mark.parametrize(
    ("runtime", "script", "options"),
    [
        (KServe(), v2_server.__file__, {}),
        (
            HttpService(),
            picture_server.__file__,
            {"outputs": [{"field": "boxes"}, {"field": "scores"}], "ready": "/ready"},
        ),
    ],
)
def test_a_started_server_speaks_tls(
    authority: Any,
    ca_file: str,
    tmp_path: Path,
    tiny_suite: Path,
    runtime: Runtime,
    script: str,
    options: Any,
) -> None:
    """It is waited for over TLS; where it is not trusted, nobody waits until the time is over."""
    pytest.importorskip("onnxruntime")
    file = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(file)
    artifact = Artifact(ONNX, path=tiny_suite / "squares.onnx")
    command = ["{python}", script, "--port", "{port}", "--onnx", "{artifact}"]
    given = options | {
        "url": "https://127.0.0.1:{port}",
        "start": [*command, "--certificate", str(file)],
    }
    with opened(runtime, artifact, ca_file=ca_file, **given) as session:
        assert len(session.run(Inputs(np.zeros((1, 3, 64, 64), np.float32)))) == 2
    start = time.monotonic()
    with (
        pytest.raises(
            RuntimeFault, match=r"(?i)is not trusted: .*certificate.verify.failed"
        ) as caught,
        opened(runtime, artifact, start_timeout="10 min", **given),
    ):
        pass
    assert "runtime.ca_file" in caught.value.next_step
    assert time.monotonic() - start < 120


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: str | None) -> None:
    """By its name, for each protocol, before a server is started."""
    file = tmp_path / "nothing.pem"
    if content is not None:
        file.write_text(content)
    for runtime, options, _ in (kind.values for kind in KINDS):
        with (
            pytest.raises(RuntimeFault, match=r"nothing\.pem cannot be read") as caught,
            opened(runtime, url="https://127.0.0.1:9", ca_file=str(file), **options),  # type: ignore[arg-type] # of pytest's parameters
        ):
            pass
        assert caught.value.where == "runtime.ca_file"


def test_certificates_of_a_plain_address_are_refused() -> None:
    """Nothing would be verified."""
    with pytest.raises(ValidationError, match="ca_file is of https"):
        KServeOptions(url="http://127.0.0.1:9", ca_file="ca.pem")
