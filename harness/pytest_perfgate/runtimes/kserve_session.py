"""A session behind an endpoint of the KServe V2 protocol, whose server it may have started."""

from __future__ import annotations

import contextlib
import http.client
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load import WORDS, Client
from pytest_perfgate.runtimes.endpoint import EndpointSession, Secrets
from pytest_perfgate.runtimes.server_process import ServerProcess, fill, refuse_taken
from pytest_perfgate.runtimes.v2_transport import GrpcTransport, HttpTransport, Transport

_OF_16_BITS = {"float16", "bfloat16"}


class KServeSession(EndpointSession):
    """See `pytest_perfgate.runtimes.kserve`."""

    def __init__(self, artifact: Artifact, options: Any) -> None:
        self._options = options
        self._secrets = Secrets(options.headers_env)
        self._server: ServerProcess | None = None
        self._transport: Transport | None = None
        self._count = self._failed = 0
        self.started = time.perf_counter()
        try:
            self._open(artifact)
        except BaseException:
            self.close()
            raise

    def _open(self, artifact: Artifact) -> None:
        options = self._options
        url = options.address
        if options.start:
            if "{" not in url:
                refuse_taken(url)
            places = {"artifact": str(artifact.path), "python": sys.executable}
            self._server = ServerProcess(
                options.start, options.environment, places, self._secrets.hide
            )
            self.started, self.apart = self._server.started, self._server.apart
            ports = {name: str(port) for name, port in self._server.ports.items()}
            url = fill(url, ports, "runtime.url")
        self._url = url
        kind = GrpcTransport if options.protocol == "grpc" else HttpTransport
        self._transport = kind(url, options, self._secrets)
        if self._server is not None:
            self._server.wait_until(self._is_ready, options.start_seconds)
        self._about = self._ask(self._transport.model, "the model")
        self._taken = {tensor.name: tensor.numpy for tensor in self._about.inputs}
        self._outputs = options.outputs or self._names(artifact)
        self.facts: dict[str, Any] = {
            "device": "endpoint",
            "protocol": f"KServe V2, {options.protocol}",
            "address": urlsplit(url).hostname if self._server else urlsplit(url).netloc,
            "server": self._secrets.hide(self._ask(self._transport.server, "the server")),
            "model": options.model,
            "precision": ", ".join(sorted({one.datatype for one in self._about.inputs})),
        }
        if self._server is not None:
            self.facts["server's cores"] = self._server.cores

    def _is_ready(self) -> bool:
        assert self._transport is not None  # noqa: S101 - set before, for mypy
        with contextlib.suppress(Exception):  # it is starting: whatever the library raises
            return self._transport.is_ready() and self._answers_ready()
        return False

    def _answers_ready(self) -> bool:
        if not self._options.ready:
            return True
        parts = urlsplit(self._url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=1.0)
        try:
            connection.request("GET", self._options.ready, headers=self._secrets.headers)
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()

    def _ask(self, question: Any, what: str) -> Any:
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            # A chain would show the request, and with it the credentials.
            raise self._fault(f"asked for {what}, the endpoint {self._url} failed", error) from None

    def _names(self, artifact: Artifact) -> tuple[str, ...]:
        """The outputs in the network's order: the artifact's, which the endpoint must have, too."""
        served = tuple(tensor.name for tensor in self._about.outputs)
        own = _outputs_of(artifact)
        if own is None:
            return served
        if served and set(own) != set(served):
            raise RuntimeFault(
                f"the endpoint {self._url} serves another model: it has the outputs "
                f"{', '.join(served)}",
                where="runtime.model",
                valid=", ".join(own),
                next_step="serve the recipe's artifact, or name the outputs in the network's "
                "order: runtime.outputs",
            )
        return own

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`.

        Raises:
            RuntimeFault: the endpoint failed, in its own words, with the number of requests; or the
                server that was started has ended.
        """
        arrays = self._arrays(inputs)
        assert self._transport is not None  # noqa: S101 - open, for mypy
        self._refuse_ended()
        self._count += 1
        try:
            outputs = self._transport.infer(arrays, self._about, self._outputs)
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            self._failed += 1
            many = f"{self._failed} of {self._count} requests to {self._url} failed"
            raise self._fault(many, error) from None
        return self._whole(outputs)

    def _refuse_ended(self) -> None:
        if self._server is not None:
            self._server.refuse_ended("before the requests were sent")

    def _arrays(self, inputs: Inputs) -> Mapping[str, Any]:
        arrays = inputs.feed(self._taken)
        for tensor in self._about.inputs:
            given = arrays[tensor.name].shape
            fits = len(given) == len(tensor.shape) and all(
                known in {-1, length} for known, length in zip(tensor.shape, given, strict=True)
            )
            if tensor.shape and not fits:
                raise RuntimeFault(
                    f"the endpoint's input {tensor.name!r} has the shape {list(tensor.shape)}; it "
                    f"is given {list(given)}",
                    where="runtime.model",
                    next_step="serve the recipe's artifact, or set the size in [suite.input]",
                )
        return arrays

    def _whole(self, outputs: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs, none of which is missing; of 16 bits as 32.

        Raises:
            RuntimeFault: one is missing.
        """
        for name, output in zip(self._outputs, outputs, strict=True):
            if output is None:
                raise RuntimeFault(
                    f"the answer of {self._url} has no output {name!r}",
                    where="runtime.outputs",
                    valid=", ".join(tensor.name for tensor in self._about.outputs),
                )
        return tuple(
            output.astype("float32") if output.dtype.name in _OF_16_BITS else output
            for output in outputs
        )

    @override
    def load_client(self, requests: Sequence[Inputs]) -> Client:
        """See `EndpointSession.load_client`.

        Raises:
            RuntimeFault: the server that was started has ended.
        """
        assert self._transport is not None  # noqa: S101 - open, for mypy
        self._refuse_ended()
        arrays = [self._arrays(request) for request in requests]
        return self._transport.load_client(arrays, self._about, self._outputs)

    @override
    def decoded(self, client: Client, number: int, answer: Any) -> tuple[Any, ...]:
        """See `EndpointSession.decoded`."""
        try:
            outputs = client.outputs(number, answer)
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            raise self._fault(f"the answer to request {number} cannot be read", error) from None
        return self._whole(outputs)

    @override
    def words(self, text: str) -> str:
        """See `EndpointSession.words`."""
        return self._secrets.hide(text)

    def _fault(self, problem: str, error: Exception) -> RuntimeFault:
        """An error in the endpoint's own words, without what must not be said."""
        status = str(getattr(error, "status", lambda: "")() or "")
        words = self._secrets.hide(str(error))
        text = " ".join(words.split())[:WORDS] or type(error).__name__
        ended = self._server.last_words() if self._server is not None else ""
        return RuntimeFault(
            self._secrets.hide(f"{problem}: {text}{ended}"),
            where="runtime.url",
            next_step=_advice(f"{status} {text}"),
        )

    @override
    def close(self) -> None:
        """Closes the connection, and ends the server that it started."""
        with contextlib.suppress(Exception):  # what is closed twice, or never was open
            if self._transport is not None:
                self._transport.close()
        if self._server is not None:
            self._server.stop()
            self._server = None


def _advice(words: str) -> str:
    """What to do about an error, by its words."""
    low = words.lower()
    if any(word in low for word in ("401", "403", "unauthenticated", "permission_denied")):
        return 'headers_env = { Authorization = "NAME_OF_A_VARIABLE" } sends its credentials'
    if "refused" in low or "failed to connect" in low:
        return "start the server, or let the suite start it: runtime.start"
    if "timed out" in low or "timeout" in low or "deadline" in low:
        return "raise runtime.timeout, or find out why the server is slow"
    if any(word in low for word in ("404", "not found", "not_found")):
        return "set runtime.model and runtime.version to what the server has"
    return "look into the server's own log"


def _outputs_of(artifact: Artifact) -> tuple[str, ...] | None:
    """Names of the outputs in an ONNX file, in its order; None of another artifact, and where onnx
    is not installed.
    """
    if artifact.kind != ONNX or artifact.path is None:
        return None
    try:
        import onnx
    except ImportError:
        return None
    graph = onnx.load(str(artifact.path), load_external_data=False).graph
    return tuple(output.name for output in graph.output)
