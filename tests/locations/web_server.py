"""A web server of files for tests, which answers ranges and misbehaves where it is told to."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Web:
    """Files by path, and what goes wrong.

    Attributes:
        url: of the server's root.
        files: path to content.
        status: path to the code that it answers in place of the file.
        cuts: path to how many connections end in the middle of what they send.
        redirects: path to the URL that it leads to.
        stalls: paths whose second half never comes.
        whole: paths of which no ranges are answered.
        headers: path to further headers of its answer.
        requests: path and range of every request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    cuts: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    stalls: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def serving(web: Web, certificate: Path | None = None) -> Iterator[Web]:
    """Serves `web` on a free port of this machine while the block runs; with a certificate and its
    key in one file, over TLS.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_HEAD(self) -> None:
            """As of a file, without its content."""
            _answer(self, web)

        def do_GET(self) -> None:
            """A file."""
            _answer(self, web)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_port}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        web.url = f"https://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield web
    finally:
        web.ended.set()
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, web: Web) -> None:
    path, span = handler.path, handler.headers.get("Range", "")
    web.requests.append((path, span))
    if path in web.redirects:
        _head(handler, 302, 0, Location=web.redirects[path])
        return
    if path not in web.files or path in web.status:
        _head(handler, web.status.get(path, 404), 0, **web.headers.get(path, {}))
        return
    content = web.files[path]
    etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    if handler.headers.get("If-Match", etag) != etag:
        _head(handler, 412, 0)
        return
    start = int(span.split("=")[1].split("-")[0]) if span and path not in web.whole else 0
    body = content[start:]
    more = {"ETag": etag, "Last-Modified": "Mon, 02 Nov 2026 04:00:00 GMT"}
    more |= web.headers.get(path, {})
    if span and path not in web.whole:
        more["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    _head(handler, 206 if "Content-Range" in more else 200, len(body), **more)
    if handler.command == "HEAD":
        return
    if web.cuts.get(path, 0) > 0 or path in web.stalls:
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        if path in web.stalls:
            web.ended.wait(20)
        web.cuts[path] = web.cuts.get(path, 0) - 1
        handler.close_connection = True
        return
    handler.wfile.write(body)


def _head(handler: BaseHTTPRequestHandler, status: int, length: int, **more: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    for name, value in more.items():
        handler.send_header(name, value)
    handler.end_headers()
