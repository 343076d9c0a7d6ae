"""The message of a session at a real server: signed, by its published schema, tried three times."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pytest_perfgate.errors import ReportError
from pytest_perfgate.plugin.settings import _READERS, _Given
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.report import exports, webhook

from tests.report import sessions

KEY = bytes(range(32))
SCHEMA = Path(__file__).parents[2] / "docs" / "webhook.schema.json"


class Server(HTTPServer):
    """Answers with its statuses in turn, the last one for ever, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = [204]
        self.requests: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/perfgate"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        """Keeps the request, answers."""
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((headers, body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, which shares the secret with the session."""
    monkeypatch.setenv(webhook.SECRET, "whsec_" + base64.b64encode(KEY).decode())
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_server_can_verify_the_signature_and_the_schema(server: Server) -> None:
    """Over id, time and body, as Standard Webhooks has it; a changed body does not fit."""
    sent = webhook.send(server.url, sessions.broken("<b>"), "reports/a.html")
    ((headers, body),) = server.requests
    assert headers["webhook-id"] == sent
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    start = f"{sent}.{headers['webhook-timestamp']}.".encode()

    def signed(content: bytes) -> str:
        digest = hmac.new(KEY, start + content, hashlib.sha256).digest()
        return "v1," + base64.b64encode(digest).decode()

    assert hmac.compare_digest(headers["webhook-signature"], signed(body))
    assert headers["webhook-signature"] != signed(body.replace(b"FAIL", b"PASS"))
    message = json.loads(body)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(message)
    assert message["data"]["worst"] == "ERROR"
    (broken,) = (one for one in message["data"]["budgets"] if one["verdict"] == "FAIL")
    assert broken["metric"] == "latency_p95"
    assert any("operators: head" in line for line in broken["where"])


def test_the_schema_is_that_of_the_program() -> None:
    """docs/webhook.schema.json has every field, and a field that is not in it is refused."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema == webhook.schema()
    message = json.loads(webhook.payload(sessions.healthy(), "").model_dump_json())
    jsonschema.Draft202012Validator(schema).validate(message)
    message["data"]["other"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(message)


def test_a_server_that_fails_is_asked_again_with_the_same_id(server: Server) -> None:
    """After pauses; a message that arrives in the end is delivered."""
    server.statuses = [503, 429, 200]
    pauses: list[float] = []
    sent = webhook.send(server.url, sessions.healthy(), "", sleep=pauses.append)
    assert [headers["webhook-id"] for headers, _ in server.requests] == [sent] * 3
    assert pauses == list(webhook.WAITS)


@pytest.mark.parametrize(
    ("statuses", "tries", "words"),
    [
        ([500], 3, "after 3 tries: the server answered 500"),
        ([401], 1, "after 1 try: the server answered 401"),
        ([307], 1, "after 1 try: the server answered 307"),
    ],
)
def test_what_is_not_delivered_is_said(
    server: Server, statuses: list[int], tries: int, words: str
) -> None:
    """Three tries at most, one where the server refuses; a redirect is not followed."""
    server.statuses = statuses
    with pytest.raises(ReportError, match=words) as caught:
        webhook.send(server.url, sessions.healthy(), "", sleep=lambda _: None)
    assert len(server.requests) == tries
    assert "/perfgate" not in str(caught.value)  # a path may be a secret of the server's


@pytest.mark.parametrize("path", ["s\u00e9cret", "s cret", "s\ncret", "secret\udcff"])
def test_an_address_that_cannot_be_sent_is_refused_and_fails_no_session(
    path: str, server: Server, pytestconfig: pytest.Config
) -> None:
    """By the option; where one comes through, it is an error of the report, in one try. The path
    is not repeated, for it may be a secret.
    """
    url = f"{server.url}/{path}"
    for field in ("webhook", "picture_url"):
        with pytest.raises(pytest.UsageError, match="printable ASCII without blanks") as refused:
            _READERS[field](_Given(f"--perf-{field}", field, url, pytestconfig))
        assert "cret" not in str(refused.value)
    with pytest.raises(ReportError, match="after 1 try: the address is no URL") as caught:
        webhook.send(url, sessions.healthy(), "", sleep=lambda _: None)
    assert "cret" not in str(caught.value)
    assert not server.requests


def test_a_server_that_is_not_there_is_a_warning_of_the_session(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in the terminal; the secret stands nowhere."""
    monkeypatch.setattr(webhook, "WAITS", (0.0, 0.0))
    url = server.url
    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        gone = f"http://127.0.0.1:{other.server_port}"
    for address, delivered in ((url, True), (gone, False)):
        result = exports.write(
            sessions.healthy(),
            sessions.METRICS,
            replace(for_command(tmp_path, ""), webhook=address),
            None,
        )
        text = "\n".join((*result.lines, *result.warnings))
        assert ("took msg_" in text) is delivered
        assert ("was not delivered after 2 tries: no answer" in text) is not delivered
        assert base64.b64encode(KEY).decode() not in text
        assert not result.problems


@pytest.mark.parametrize("value", ["", "whsec", "whsec_!!", "whsec_c2hvcnQ="])
def test_a_session_without_a_secret_is_refused_before_it_measures(
    value: str, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """The message names the variable and how to make a secret, not the value."""
    monkeypatch.setenv(webhook.SECRET, value)
    given = _Given("--perf-webhook", "webhook", "https://example.org/x", pytestconfig)
    with pytest.raises(pytest.UsageError, match=webhook.SECRET) as caught:
        _READERS["webhook"](given)
    assert "whsec_ and 24 to 64 bytes" in str(caught.value)
    assert value == "whsec" or not value or value not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "https://", "https://a:b@example.org", "https://example.org?t=1"]
)
def test_an_address_that_may_not_stand_in_a_report_is_refused(
    url: str, pytestconfig: pytest.Config
) -> None:
    """Of the webhook and of the picture; nothing of a password or a query is repeated."""
    for field in ("webhook", "picture_url"):
        with pytest.raises(pytest.UsageError, match=r"valid|kept in the report"):
            _READERS[field](_Given(f"--perf-{field}", field, url, pytestconfig))
