"""A session behind a service that takes pictures or JSON and answers JSON."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from typing_extensions import override

from pytest_perfgate.artifact import Artifact
from pytest_perfgate.errors import InputError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load import Client
from pytest_perfgate.runtimes.json_answers import read_answer, stacked
from pytest_perfgate.runtimes.sent_images import body_of
from pytest_perfgate.runtimes.served_session import ServedSession

if TYPE_CHECKING:
    from pytest_perfgate.load.http_client import Answer, HttpClient

_LOOK = 1.0  # seconds for a connection to a server that starts
_KEPT = "/%:@!$&'()*+,;=~?"  # characters of a path and a query that are sent as they are


class HttpSession(ServedSession):
    """See `pytest_perfgate.runtimes.http_service`."""

    _client: HttpClient | None = None

    @override
    def _open(self, artifact: Artifact) -> None:
        self._wait()
        options = self._options
        parts = urlsplit(self.url)
        query = f"?{parts.query}" if parts.query else ""
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._path = quote((parts.path or "/") + query, safe=_KEPT)
        self._own = [b""]
        self._client = self._client_of(self._own, [1], connections=1)
        self.fixed_batch = 0 if options.batch else 1
        self.facts = {
            **self._facts,
            "protocol": f"HTTP, {options.carrier}",
            "precision": options.send,
        }

    @override
    def _protocol_ready(self) -> bool:
        """Whether it takes connections; what it says of itself is at the path `ready`."""
        parts = urlsplit(self.url)
        place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        with socket.create_connection(place, timeout=_LOOK):
            return True

    def _client_of(
        self, requests: Sequence[bytes], counts: Sequence[int], connections: int = 8
    ) -> HttpClient:
        """A client of requests, with the number of images of each.

        Raises:
            RuntimeFault: there is no connection.
        """
        from pytest_perfgate.load.http_client import Address, HttpClient

        options = self._options

        def decode(number: int, answer: Answer) -> tuple[Any, ...]:
            return self._read(answer, counts[number % len(counts)])

        address = Address.of(
            self.url, connect_timeout=options.timeout_seconds, ca_file=options.ca_file
        )
        try:
            return HttpClient(address, requests, decode, connections, self._secrets.hide)
        except RuntimeFault as error:
            raise self._fault(f"the endpoint {self.url} failed", error) from None

    def _read(self, answer: Answer, count: int) -> tuple[Any, ...]:
        options = self._options
        images = count if options.batch else None
        return read_answer(answer.body, options.outputs, options.images, options.rows, images)

    def _request(self, inputs: Inputs) -> bytes:
        from pytest_perfgate.load.http_client import request_bytes

        kind, body = body_of(inputs, self._options)
        headers = {"Content-Type": kind, "Accept": "application/json", **self._secrets.headers}
        return request_bytes(self._base, self._path, headers, body)

    @override
    def _prepared(self, inputs: Inputs) -> list[tuple[bytes, int]]:
        """The requests, with the number of images of each: one image each without batches."""
        if self._options.batch:
            return [(self._request(inputs), len(inputs))]
        return [(self._request(inputs.take([row])), 1) for row in range(len(inputs))]

    @override
    def _infer(self, prepared: list[tuple[bytes, int]]) -> Sequence[Any]:
        answers = []
        for number, (request, count) in enumerate(prepared):
            self._count += number > 0  # the first one is counted
            answers.append(self._read(self._exchange(request), count))
        if len(answers) == 1:
            return answers[0]
        return [stacked([one[0] for one in arrays]) for arrays in zip(*answers, strict=True)]

    def _exchange(self, request: bytes) -> Answer:
        """The answer to a request, by the client of the load generator: the same bounds and words.

        Raises:
            OSError: it failed, in the endpoint's own words, or was not whole in time.
        """
        client = self._client
        assert client is not None  # noqa: S101 - open, for mypy
        client.poll(client.now())  # hears of a connection that was closed while it was idle
        self._own[0] = request
        client.send(0)
        until = client.now() + self._options.timeout_seconds
        for ended in client.poll(until):
            if ended.error:
                raise OSError(ended.error)
            answer: Answer = ended.answer
            return answer
        client.abandon(0)
        raise TimeoutError("timed out")

    @override
    def _load_client(self, requests: Sequence[Inputs]) -> Client:
        if not self._options.batch and any(len(request) != 1 for request in requests):
            raise InputError(
                "the service takes one image in a request, and the workload's requests have "
                f"{max(map(len, requests))}",
                where="runtime.batch",
                next_step="set runtime.batch = true if the service takes a list of images; or "
                "samples_per_query and batch_size of the workload to 1",
            )
        bodies = [self._request(request) for request in requests]
        return self._client_of(bodies, [len(request) for request in requests])

    @override
    def close(self) -> None:
        """Closes the connection, and ends the server that it started."""
        if self._client is not None:
            self._client.close()
            self._client = None
        super().close()
