"""Sessions behind an endpoint, whose server they may have started: what all protocols share."""

from __future__ import annotations

import http.client
import re
import sys
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

from pytest_perfgate.artifact import Artifact
from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load import WORDS, Client
from pytest_perfgate.runtimes import containers
from pytest_perfgate.runtimes.endpoint import EndpointSession, Secrets
from pytest_perfgate.runtimes.endpoint_options import EndpointOptions
from pytest_perfgate.runtimes.server_process import ServerProcess, fill, refuse_taken

# Whole words: an error names the address, and 401 and 404 are in many ports.
_UNKNOWN_USER = re.compile(r"\b(?:401|403|unauthenticated|permission_denied)\b")
_NOT_THERE = re.compile(r"\b(?:404|not found|not_found)\b")
_LOOK = 1.0  # seconds for an answer of the path `ready`


class ServedSession(EndpointSession):
    """A session behind an endpoint.

    Args:
        artifact: what a server that is started gets.
        options: of the runtime, `EndpointOptions`.

    Attributes:
        url: of the endpoint, with its port.

    Raises:
        RuntimeFault: the server does not start, or the endpoint does not answer.
    """

    def __init__(self, artifact: Artifact, options: Any) -> None:
        self._options = options
        self._secrets = Secrets(options.headers_env)
        self._server: ServerProcess | None = None
        self._container: tuple[str, str] | None = None
        self._count = self._failed = 0
        self.started = time.perf_counter()
        self.url: str = options.address
        try:
            self._refuse_unreadable_certificates()
            self._start(artifact)
            self._open(artifact)
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _open(self, artifact: Artifact) -> None:
        """Connects to the endpoint at `url`; the server that was started may not be ready yet."""

    @abstractmethod
    def _prepared(self, inputs: Inputs) -> Any:
        """What is sent for the inputs of one inference.

        Raises:
            PerfgateError: the endpoint takes no such inputs.
        """

    @abstractmethod
    def _infer(self, prepared: Any) -> Sequence[Any]:
        """The outputs in the answer to it; whatever this raises is a failure of the request."""

    def _whole(self, outputs: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs, checked. Default: as they are.

        Raises:
            RuntimeFault: one is missing.
        """
        return tuple(outputs)

    def _refuse_unreadable_certificates(self) -> None:
        """Check that the file of certificates has some: libraries say less, or connect without.

        Raises:
            RuntimeFault: it has none, or cannot be read.
        """
        if self._options.ca_file:
            from pytest_perfgate.load.http_client import tls_of

            tls_of(self._options.ca_file)

    def _start(self, artifact: Artifact) -> None:
        """Starts the server, where the recipe has one."""
        options: EndpointOptions = self._options
        if not (options.start or options.image):
            return
        if "{" not in self.url:
            refuse_taken(self.url)
        places = {"artifact": str(artifact.path), "python": sys.executable}
        command = options.start
        if options.image:
            command = self._container_command(options, artifact)
        self._server = ServerProcess(command, options.environment, places, self._secrets.hide)
        self.started, self.apart = self._server.started, self._server.apart
        ports = {name: str(port) for name, port in self._server.ports.items()}
        self.url = fill(self.url, ports, "runtime.url")

    def _container_command(self, options: EndpointOptions, artifact: Artifact) -> tuple[str, ...]:
        """The command of the engine that runs the image."""
        name = containers.engine()
        if not name:
            needed = containers.engine_for(options.image, options.start, options.environment)
            raise RuntimeFault(needed.reason, where="runtime.image", next_step=needed.install)
        containers.remove_orphans(name)
        self._container = name, containers.new_name()
        # Braces are places of `start`.
        folder = str(Path(artifact.path or ".").resolve().parent)
        folder = folder.replace("{", "{{").replace("}", "}}")
        marks = containers.marks_of(self._container[1])
        return tuple(
            containers.command_of(
                name, options.image, options.start, options.environment, folder, marks
            )
        )

    def _wait(self) -> None:
        """Waits until the server that was started is ready."""
        if self._server is not None:
            self._server.wait_until(self._is_ready, self._options.start_seconds)

    def _is_ready(self) -> bool:
        try:
            return self._protocol_ready() and self._answers_ready()
        except Exception as error:  # noqa: BLE001 - it is starting: whatever a library raises
            if _is_untrusted(str(error)):  # waiting does not change it
                raise self._fault(f"the server at {self.url} is not trusted", error) from None
        return False

    def _protocol_ready(self) -> bool:
        """Whether the server is ready, as its protocol says it. Default: nothing is asked."""
        return True

    def _answers_ready(self) -> bool:
        """Whether the path `ready` answers 200; without one, yes."""
        if not self._options.ready:
            return True
        parts = urlsplit(self.url)
        if parts.scheme == "https":
            from pytest_perfgate.load.http_client import tls_of

            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.netloc, timeout=_LOOK, context=tls_of(self._options.ca_file)
            )
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=_LOOK)
        try:
            connection.request("GET", self._options.ready, headers=self._secrets.headers)
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()

    @property
    def _facts(self) -> dict[str, Any]:
        """The facts of a session behind any protocol. A port that was free is none of them."""
        parts = urlsplit(self.url)
        facts: dict[str, Any] = {
            "device": "endpoint",
            "address": parts.hostname if self._server else parts.netloc,
        }
        if self._server is not None:
            facts["server's cores"] = self._server.cores
        return facts

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`.

        Raises:
            RuntimeFault: the endpoint failed, in its own words, with the number of requests; or the
                server that was started has ended.
        """
        prepared = self._prepared(inputs)
        self._refuse_ended()
        self._count += 1
        try:
            outputs = self._infer(prepared)
        except Exception as error:  # noqa: BLE001 - whatever a library raises
            self._failed += 1
            many = f"{self._failed} of {self._count} requests to {self.url} failed"
            # A chain would show the request, and with it the credentials.
            raise self._fault(many, error) from None
        return self._whole(outputs)

    @override
    def decoded(self, client: Client, number: int, answer: Any) -> tuple[Any, ...]:
        """See `EndpointSession.decoded`."""
        try:
            outputs = client.outputs(number, answer)
        except Exception as error:  # noqa: BLE001 - whatever a library raises
            raise self._fault(f"the answer to request {number} cannot be read", error) from None
        return self._whole(outputs)

    @override
    def load_client(self, requests: Sequence[Inputs]) -> Client:
        """See `EndpointSession.load_client`.

        Raises:
            RuntimeFault: the server that was started has ended, or does not keep to its cores.
        """
        self._refuse_ended()
        if self._server is not None:
            self._server.refuse_strays()
        return self._load_client(requests)

    @abstractmethod
    def _load_client(self, requests: Sequence[Inputs]) -> Client:
        """See `EndpointSession.load_client`."""

    def _refuse_ended(self) -> None:
        if self._server is not None:
            self._server.refuse_ended("before the requests were sent")

    @override
    def words(self, text: str) -> str:
        """See `EndpointSession.words`."""
        return self._secrets.hide(text)

    def _fault(self, problem: str, error: Exception) -> RuntimeFault:
        """An error in the endpoint's own words, without what must not be said."""
        status = str(getattr(error, "status", lambda: "")() or "")
        place, valid, words = "", "", str(error)
        if isinstance(error, PerfgateError):
            place, valid, words = error.where, error.valid, error.problem
        words = self._secrets.hide(words)
        text = " ".join(words.split())[:WORDS] or type(error).__name__
        ended = self._server.last_words() if self._server is not None else ""
        return RuntimeFault(
            self._secrets.hide(f"{problem}: {text}{ended}"),
            where=place or "runtime.url",
            valid=valid,
            next_step=getattr(error, "next_step", "") or self._advice(f"{status} {text}".lower()),
        )

    def _advice(self, words: str) -> str:
        """What to do about an error, by its words in lower case."""
        if _is_untrusted(words):
            return (
                "name the file of the certificate authority: runtime.ca_file; the certificate must "
                "be of the url's host"
            )
        if _UNKNOWN_USER.search(words):
            return 'headers_env = { Authorization = "NAME_OF_A_VARIABLE" } sends its credentials'
        if "refused" in words or "failed to connect" in words:
            return "start the server, or let the suite start it: runtime.start"
        if "timed out" in words or "timeout" in words or "deadline" in words:
            return "raise runtime.timeout, or find out why the server is slow"
        if _NOT_THERE.search(words):
            return self._elsewhere
        return "look into the server's own log"

    _elsewhere = "set runtime.url to what the server has"
    """What to do where the server has nothing of that name."""

    @override
    def peak_server_memory(self) -> int | None:
        """See `InferenceSession.peak_server_memory`."""
        server = self._own_server()
        return None if server is None else server.peak_memory()

    @override
    def held_by_server(self) -> int | None:
        """See `EndpointSession.held_by_server`."""
        server = self._own_server()
        return None if server is None else server.held_memory()

    def _own_server(self) -> ServerProcess | None:
        """The server, where it is below this process: of a container that is the engine's program
        alone.
        """
        return None if self._container is not None else self._server

    @override
    def close(self) -> None:
        """Ends the server that it started."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._container is not None:
            containers.remove(*self._container)
            self._container = None


def _is_untrusted(words: str) -> bool:
    """Whether an error says that the server's certificate was refused, as OpenSSL and gRPC do."""
    low = words.lower()
    return "certificate_verify_failed" in low or "hostname verification check failed" in low
