"""An endpoint that does nothing: it answers each KServe V2 request with the same kilobyte.

`python -m benchmarks.null_server` prints its port, and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

SIZE = 1024
"""Bytes of the tensor in a request, and of that in its answer."""

_LENGTH = b"content-length: "


def answer() -> bytes:
    """The answer as it goes over the wire: a tensor of `SIZE` bytes in KServe's binary form."""
    tensor: dict[str, object] = {
        "name": "output",
        "datatype": "FP32",
        "shape": [1, SIZE // 4],
    }
    tensor |= {"parameters": {"binary_data_size": SIZE}}
    head = json.dumps({"model_name": "null", "outputs": [tensor]}).encode()
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/octet-stream",
        f"Inference-Header-Content-Length: {len(head)}",
        f"Content-Length: {len(head) + SIZE}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + head + bytes(SIZE)


class NullServer(asyncio.Protocol):
    """A connection: whole requests in, the same answer out."""

    def __init__(self) -> None:
        self._answer = answer()
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport to write to."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers as many requests as have come."""
        self._buffer += data
        assert self._transport is not None
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(self._answer)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(NullServer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever started it has gone when its input ends.
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve())
