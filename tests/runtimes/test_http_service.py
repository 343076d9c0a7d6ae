"""The runtime `http` against a real server, and each way in which a service fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, TFLITE, Artifact
from pytest_perfgate.errors import InputError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load.open_loop import run_closed_loop, run_open_loop
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.http_service import HttpOptions, HttpService
from pytest_perfgate.runtimes.http_session import HttpSession
from pytest_perfgate.stats.arrivals import poisson_arrivals

pytest.importorskip("httptools", reason="python -m pip install 'pytest-perfgate[serving]'")
pytest.importorskip("PIL", reason="python -m pip install 'pytest-perfgate[detection]'")

from tests.doubles import picture_server
from tests.doubles.picture_server import Pictures
from tests.doubles.v2_server import Mode, Model, serving

FILE = Artifact(TFLITE, path=Path("model.tflite"))
MEANS = Model(
    {"x": ("FP32", [-1, 3, -1, -1])},
    {},
    lambda given: {"means": given["x"].mean(axis=(2, 3)), "sums": given["x"].sum(axis=(1, 2, 3))},
)
MEAN = [{"field": "means", "shape": [3]}]
RANDOM = np.random.default_rng(0)
IMAGES = (RANDOM.integers(0, 256, (3, 3, 8, 6)) / 255).astype(np.float32)
ONE = Inputs(IMAGES[:1])


@contextmanager
def opened(url: str | None, artifact: Artifact = FILE, **options: Any) -> Iterator[HttpSession]:
    """A session, closed afterwards."""
    given = HttpOptions.model_validate({"url": url, "outputs": MEAN, **options})
    session = HttpService().open(artifact, given, OpenContext(threads=1, folder=Path()))
    try:
        yield session
    finally:
        session.close()


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, 1e-6),
        ({"send": "png", "body": "form", "fields": {"threshold": 0.1}}, 1e-6),
        ({"send": "jpeg", "body": "json", "quality": 100}, 0.01),
        ({"send": "png", "body": "json", "batch": True, "images": "predictions"}, 1e-6),
        ({"send": "tensor", "batch": True, "images": "predictions"}, 1e-6),
    ],
)
def test_images_cross_and_outputs_come_back(options: Any, allowed: float) -> None:
    """One by one or as a list, in each form; in a single run and under load."""
    with serving(MEANS, kind=Pictures) as url, opened(f"{url}/predict?v=1", **options) as session:
        (means,) = session.run(Inputs(IMAGES))
        assert means.dtype == np.float32
        assert np.abs(means - IMAGES.mean(axis=(2, 3))).max() <= allowed
        assert session.fixed_batch == (0 if options.get("batch") else 1)
        requests = [Inputs(IMAGES[row : row + 1]) for row in range(3)]
        client = session.load_client(requests)
        run = run_closed_loop(6, client, 5.0)
        assert not run.errors
        for number, answer in run.answers.items():
            (under_load,) = session.decoded(client, number, answer)
            assert np.array_equal(under_load, means[[number % 3]])
        client.close()


def test_batches_and_single_images_under_load() -> None:
    """A list of images is a request; a service of single images is sent no other."""
    with serving(MEANS, kind=Pictures) as url:
        batch = {"send": "tensor", "batch": True, "images": ["predictions"]}
        with opened(url, **batch) as session:
            client = session.load_client([Inputs(IMAGES)])
            (answer,) = run_closed_loop(1, client, 5.0).answers.values()
            assert session.decoded(client, 0, answer)[0].shape == (3, 3)
            client.close()
        with opened(url) as session, pytest.raises(InputError, match="one image in a request"):
            session.load_client([Inputs(IMAGES)])


@pytest.mark.parametrize(
    ("mode", "words", "advice"),
    [
        (Mode(fails_every=10), "1 of 10 requests to .* failed: HTTP 500: the GPU has", "log"),
        (Mode(closes_every=5), "1 of 5 requests to .* failed: the endpoint closed", "log"),
        (Mode(cut=4), "1 of 1 requests .* closed the connection after .* bytes", "log"),
        (Mode(delay=2.0), "1 of 1 requests to .* failed: timed out", "raise runtime.timeout"),
        (Mode(trickle=0.02), "1 of 1 requests to .* failed: timed out", "raise runtime.timeout"),
        (Mode(authorization="a"), "1 of 1 .* failed: HTTP 401: a token", "headers_env"),
        (Mode(says=b"<html>"), "1 of 1 .* the answer is no JSON: <html>", "runtime.outputs"),
        (Mode(says=b'{"means": [1, NaN, 2]}'), "the answer is no JSON: .*NaN", "runtime.outputs"),
        (Mode(says=b'{"mean": 1}'), "has no field 'means'; it is: mean", "runtime.outputs"),
        (Mode(says=b'{"means": [1]}'), r"has the shape \[1\], and \[3\]", "runtime.outputs"),
        (Mode(says=b'{"means": ["1", "2", "3"]}'), "else than numbers", "runtime.outputs"),
        (Mode(says=b"[" * 100_000), "the answer is no JSON", "runtime.outputs"),
    ],
)
def test_each_failure_is_one_message(mode: Mode, words: str, advice: str) -> None:
    """In the service's own words, with the number of requests and what to do."""

    def requests(url: str) -> None:
        with opened(url, timeout="500 ms") as session:
            for _ in range(10):
                session.run(ONE)

    with serving(MEANS, mode, Pictures) as url, pytest.raises(RuntimeFault) as caught:
        requests(url)
    assert re.search(words, caught.value.problem), caught.value.problem
    assert advice in caught.value.next_step


def test_one_failure_in_a_hundred_is_counted_under_load() -> None:
    """And an answer that cannot be read is an error when it is decoded."""
    mode = Mode(fails_every=100)
    with serving(MEANS, mode, Pictures) as url, opened(url) as session:
        client = session.load_client([ONE])
        run = run_open_loop(poisson_arrivals(500.0, 200, seed=0), client, 5.0)
        assert len(run.errors) == 2
        assert all("HTTP 500: the GPU has fallen" in words for words in run.errors.values())
        mode.says = b'{"means": []}'
        (answer,) = run_closed_loop(1, client, 5.0).answers.values()
        with pytest.raises(RuntimeFault, match="the answer to request 0 cannot be read"):
            session.decoded(client, 0, answer)
        client.close()


def test_a_service_that_is_down_is_named_with_its_remedy() -> None:
    """Before anything is evaluated."""
    with pytest.raises(RuntimeFault, match="refused") as caught, opened("http://127.0.0.1:9"):
        pass
    assert "runtime.start" in caught.value.next_step


def test_a_connection_that_was_closed_while_idle_is_no_failure() -> None:
    """Servers close them after some seconds, and an evaluation pauses."""
    with serving(MEANS, kind=Pictures) as url, opened(url) as session:
        session.run(ONE)
        (connection,) = session._client._open.values()
        connection.socket.shutdown(2)
        assert len(session.run(ONE)) == 1


def test_credentials_cross_and_are_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where JSON repeats them with a backslash before their quotes."""
    value = 'abc"1\\23'
    monkeypatch.setenv("TOKEN_OF_A_TEST", value)
    mode = Mode(authorization=value)
    names = {"Authorization": "TOKEN_OF_A_TEST"}
    with (
        serving(MEANS, mode, Pictures) as url,
        opened(url, headers_env=names) as session,
    ):
        session.run(ONE)
        assert "abc" not in str(session.facts)
        for said in (
            b'{"other": 1, "abc\\"1\\\\23": 2}',
            b'no JSON: abc"1\\23',
            b'{"means": "abc\\"1\\\\23"}',
            b'{"means": {"a": "abc\\"1\\\\23"}}',
        ):
            mode.says = said
            with pytest.raises(RuntimeFault) as caught:
                session.run(ONE)
            assert "abc" not in str(caught.value), said
            assert "***" in caught.value.problem


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outputs": []}, "at least 1"),
        ({"url": "http://example.org"}, "is not this machine"),
        ({"send": "tensor", "body": "raw"}, "goes in JSON"),
        ({"quality": 80}, "quality needs send"),
        ({"send": "tensor", "scale": 255}, "scale needs send"),
        ({"fields": {"a": 1}}, 'fields needs body = "form" or "json"'),
        ({"batch": True}, 'batch needs body = "json"'),
        ({"body": "json", "batch": True, "rows": "boxes"}, "name the list of images"),
        ({"body": "json", "fields": {"image": 1}}, "fields has 'image'"),
        ({"body": "form", "field": 'a"\r\nb'}, "is no name of a field"),
        ({"body": "form", "fields": {"a": [1]}}, "is no field of a form"),
        ({"body": "json", "fields": {"a": float("nan")}}, "fields are no JSON"),
        ({"outputs": [{"field": "a", "keys": ["x"], "labels": ["y"]}]}, "set one of them"),
        ({"outputs": [{"field": "a", "labels": ["y", "y"]}]}, "is there twice"),
        ({"outputs": [{"field": "a", "shape": [-2]}]}, "below 0"),
    ],
)
def test_options_that_nothing_uses_are_refused(options: Any, words: str) -> None:
    """At reading, with what is valid."""
    with pytest.raises(ValidationError, match=words):
        HttpOptions.model_validate({"url": "http://127.0.0.1:1", "outputs": MEAN, **options})


def test_a_started_service_serves_the_artifact(tiny_suite: Path) -> None:
    """Its outputs are ONNX Runtime's; only numbers in JSON are compared with those by a session."""
    pytest.importorskip("onnxruntime")
    import onnxruntime

    file = tiny_suite / "squares.onnx"
    command = ("{python}", picture_server.__file__, "--port", "{port}", "--onnx", "{artifact}")
    options: Any = {
        "start": command,
        "ready": "/ready",
        "outputs": [{"field": "boxes", "shape": [-1, 4]}, {"field": "scores"}],
    }
    images = RANDOM.integers(0, 256, (1, 3, 64, 64)).astype(np.float32) / 255
    with opened(None, Artifact(ONNX, path=file), **options) as session:
        outputs = session.run(Inputs(images))
        process = session._server._process
    assert process.poll() is not None
    expected = onnxruntime.InferenceSession(file).run(None, {"x": images})
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    options["url"] = "http://127.0.0.1:{port}/v1"
    for more, compared in ({}, False), ({"send": "tensor"}, True):
        assert (
            HttpService().computes_artifact(HttpOptions.model_validate(options | more)) == compared
        )
