"""The verdict on a canary over HTTP, for controllers that ask by URL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pytest_perfgate.live.canary import Canary, Decision

FRESH = 5.0
"""Seconds for which a verdict stands: reading logs again takes longer than an answer."""

YES: dict[str, frozenset[Decision]] = {
    "/confirm-promotion": frozenset({"promote"}),
    "/rollback": frozenset({"roll back"}),
    "/rollout": frozenset({"promote", "hold"}),
}
"""Paths that are answered 200 for these verdicts and 409 for others."""
VERDICT = "/verdict"
_LONGEST = 65_536  # bytes of a request's body, which is read and not used
_PATIENCE = 10.0  # seconds that a client may take


class VerdictServer(ThreadingHTTPServer):
    """Answers GET and POST: `/verdict` with the JSON, the paths of `YES` by their status.

    Args:
        address: host and port; port 0: a free one.
        verdict: gives the verdict anew; may be slow.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], verdict: Callable[[], Canary]) -> None:
        super().__init__(address, _Handler)
        self._verdict, self._lock = verdict, threading.Lock()
        self._latest: tuple[float, Canary] | None = None

    def latest(self) -> Canary:
        """The verdict, at most `FRESH` seconds old."""
        with self._lock:
            if self._latest is None or time.monotonic() - self._latest[0] > FRESH:
                self._latest = None
                verdict = self._verdict()
                self._latest = time.monotonic(), verdict
            return self._latest[1]


class _Handler(BaseHTTPRequestHandler):
    server: VerdictServer
    timeout = _PATIENCE
    server_version, sys_version = "pytest-perfgate", ""

    def do_GET(self) -> None:
        """Answers a question."""
        path = self.path.partition("?")[0]
        if path != VERDICT and path not in YES:
            known = ", ".join((VERDICT, *YES))
            self._answer(HTTPStatus.NOT_FOUND, f"no such path; valid: {known}\n", "text/plain")
            return
        canary = self.server.latest()
        if path == VERDICT:
            self._answer(HTTPStatus.OK, canary.model_dump_json(), "application/json")
            return
        status = HTTPStatus.OK if canary.verdict in YES[path] else HTTPStatus.CONFLICT
        self._answer(status, f"{canary.verdict}: {canary.reason}\n", "text/plain")

    def do_POST(self) -> None:
        """Answers a webhook; its body is not used."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _LONGEST:
            self._answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"up to {_LONGEST:,} bytes\n", "text/plain"
            )
            return
        self.rfile.read(int(length))
        self.do_GET()

    def _answer(self, status: HTTPStatus, text: str, kind: str) -> None:
        content = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: controllers ask every few seconds."""
