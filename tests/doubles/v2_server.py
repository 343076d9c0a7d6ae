"""A server of the KServe V2 protocol on the standard library: JSON and binary tensors over HTTP.

`python v2_server.py --port 8000 --onnx FILE` serves a file by ONNX Runtime; tests start it with a
function as its model. By its mode it fails as endpoints do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

KINDS = {
    "bfloat16": "BF16",
    "float32": "FP32",
    "float16": "FP16",
    "uint8": "UINT8",
    "int64": "INT64",
}
_NUMPY = {kind: name for name, kind in KINDS.items()}


@dataclass
class Model:
    """What is served: names with types and shapes, and the function from inputs to outputs."""

    inputs: Mapping[str, tuple[str, list[int]]]
    outputs: Mapping[str, tuple[str, list[int]]]
    run: Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Mode:
    """How it misbehaves.

    Attributes:
        fails_every, closes_every: every so many requests get 500, or a closed connection; 0: none.
        delay: seconds before each answer.
        trickle: seconds before each byte of an answer's body.
        stalls: begin and end of a time in which nothing is answered, in seconds of `monotonic`.
        cut: bytes that are left out of each answer's end.
        short: bytes of the tensor that are left out, the length of the answer being right.
        authorization: what the header Authorization must have; "": nothing.
        binary: whether it sends binary tensors; else JSON, as servers without the extension.
        says: what it answers in place of outputs; b"": outputs.
        leaks: bytes that it keeps of each request.
        keeps: whether it keeps its answers: `delay` is for what it has not seen.
        replicas: how many requests are served at a time; 0: as many as there are.
    """

    fails_every: int = 0
    closes_every: int = 0
    delay: float = 0.0
    trickle: float = 0.0
    stalls: tuple[float, float] = (0.0, 0.0)
    cut: int = 0
    short: int = 0
    authorization: str = ""
    binary: bool = True
    says: bytes = b""
    leaks: int = 0
    keeps: bool = False
    replicas: int = 0
    kept: set[bytes] = field(default_factory=set)
    leaked: list[bytearray] = field(default_factory=list)
    count: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.slots = threading.Semaphore(self.replicas or 1_000_000)


def doubling(name: str = "input") -> Model:
    """A model of (N, 4) floats that doubles them."""
    shape = ("FP32", [-1, 4])
    return Model({name: shape}, {"output": shape}, lambda given: {"output": 2 * given[name]})


class Handler(BaseHTTPRequestHandler):
    """A connection; its `model` and `mode` are those of the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    model: Model
    mode: Mode

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's output stays readable."""

    def do_GET(self) -> None:
        """Says what is served."""
        if not self._allowed():
            return
        if self.path.endswith("ready") or self.path.endswith("live"):
            self.send(200, b"{}")
        elif self.path == "/v2":
            self.json(200, {"name": "double", "version": "1", "extensions": []})
        elif self.path == "/v2/models/model":
            about = {
                side: [
                    {"name": name, "datatype": kind, "shape": shape}
                    for name, (kind, shape) in getattr(self.model, side).items()
                ]
                for side in ("inputs", "outputs")
            }
            self.json(200, {"name": "model", "versions": ["1"], "platform": "double"} | about)
        else:
            self.json(404, {"error": f"there is no {self.path} here"})

    def do_POST(self) -> None:
        """Infers, or fails as the mode says."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = self.mode
        with mode.lock:
            mode.count += 1
            count = mode.count
        if not self._allowed():
            return
        if mode.closes_every and count % mode.closes_every == 0:
            self.close_connection = True
            return
        if mode.fails_every and count % mode.fails_every == 0:
            self.json(500, {"error": "the GPU has fallen off the bus"})
            return
        if mode.leaks:
            mode.leaked.append(bytearray(os.urandom(1) * mode.leaks))
        if not (mode.keeps and body in mode.kept):
            with mode.slots:
                time.sleep(mode.delay)
        if mode.keeps:
            mode.kept.add(body)
        if mode.stalls[0] <= time.monotonic() < mode.stalls[1]:
            time.sleep(mode.stalls[1] - time.monotonic())
        try:
            self.infer(body)
        except KeyError as error:
            self.json(400, {"error": f"there is no input {error} in this model"})

    def _allowed(self) -> bool:
        if self.mode.authorization and (
            self.headers.get("Authorization") != self.mode.authorization
        ):
            self.json(401, {"error": "a token is needed, and this is none of mine"})
            return False
        return True

    def infer(self, body: bytes) -> None:
        """Answers a request of the protocol."""
        split = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        request, rest = json.loads(body[:split]), body[split:]
        given = {}
        for tensor in request["inputs"]:
            self.model.inputs[tensor["name"]]
            kind = _NUMPY[tensor["datatype"]]
            size = tensor.get("parameters", {}).get("binary_data_size")
            if size is None:
                array = np.array(tensor["data"], dtype=kind)
            else:
                array, rest = np.frombuffer(rest[:size], dtype=kind), rest[size:]
            given[tensor["name"]] = array.reshape(tensor["shape"])
        parts, tensors = [], []
        for name, array in self.model.run(given).items():
            entry = {"name": name, "datatype": KINDS[str(array.dtype)], "shape": [*array.shape]}
            if self.mode.binary:
                data = array.tobytes()
                entry["parameters"] = {"binary_data_size": len(data)}
                parts.append(data[: len(data) - self.mode.short])
            else:
                entry["data"] = array.ravel().tolist()
            tensors.append(entry)
        head = json.dumps({"model_name": "model", "outputs": tensors}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))} if self.mode.binary else {}
        self.send(200, head + b"".join(parts), headers)

    def json(self, status: int, content: Any) -> None:
        """Answers JSON."""
        self.send(status, json.dumps(content).encode())

    def send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answers bytes, by the server's mode."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = self.mode.cut if status == 200 and self.command == "POST" else 0
        slowly = self.mode.trickle if self.command == "POST" else 0.0
        for place in range(len(content) - cut) if slowly else ():
            time.sleep(slowly)
            self.wfile.write(content[place : place + 1])
        if not slowly:
            self.wfile.write(content[: len(content) - cut])
        self.close_connection = self.close_connection or bool(cut)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:  # clients that go away are no error of a test
        return


def server_of(
    model: Model, mode: Mode, port: int = 0, kind: type[BaseHTTPRequestHandler] = Handler
) -> ThreadingHTTPServer:
    """A server that listens on a loopback address."""
    handler = type("Handler", (kind,), {"model": model, "mode": mode})
    return _Server(("127.0.0.1", port), handler)


@contextlib.contextmanager
def serving(
    model: Model | None = None,
    mode: Mode | None = None,
    kind: type[BaseHTTPRequestHandler] = Handler,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """The URL of a server in a thread."""
    server = server_of(model or doubling(), mode or Mode(), kind=kind)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def of_onnx(path: str) -> Model:
    """The model in an ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def about(entries: Any) -> dict[str, tuple[str, list[int]]]:
        return {
            entry.name: (
                KINDS[{"float": "float32"}.get(entry.type[7:-1], entry.type[7:-1])],
                [size if isinstance(size, int) else -1 for size in entry.shape],
            )
            for entry in entries
        }

    outputs = about(session.get_outputs())
    return Model(
        about(session.get_inputs()),
        outputs,
        lambda given: dict(zip(outputs, session.run(None, given), strict=True)),
    )


def main(kind: type[BaseHTTPRequestHandler] = Handler) -> None:
    """The server of a command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--onnx", required=True)
    for option, of in (
        ("delay", float),
        ("fails-every", int),
        ("leaks", int),
        ("authorization-from", str),
        ("certificate", str),
    ):
        parser.add_argument(f"--{option}", type=of, default=of())
    given = parser.parse_args()
    sys.stderr.write(f"loading {given.onnx}\n")
    how = Mode(
        delay=given.delay,
        fails_every=given.fails_every,
        leaks=given.leaks,
        authorization=os.environ.get(given.authorization_from, ""),
    )
    server = server_of(of_onnx(given.onnx), how, given.port, kind)
    if given.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(given.certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
