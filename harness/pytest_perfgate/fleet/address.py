"""Where the fleet of a session is: on this host, or a cluster that is joined."""

from __future__ import annotations

import importlib.util
import socket
from urllib.parse import urlsplit

from pytest_perfgate.errors import PerfgateError

OPTION = "--perf-fleet"
LOCAL = "local"
"""In place of an address: an engine of the session's own, on this host."""

VALID = f"{LOCAL}, or the address of a cluster's Ray client server: ray://HOST:10001"
_PATIENCE = 5.0  # seconds for the head of a cluster to take a connection


def checked(text: str) -> str:
    """An address whose engine is installed and, of a cluster, whose head takes connections.

    Raises:
        PerfgateError: it is malformed, Ray is not installed, or nothing answers there.
    """
    where = f"{OPTION} {text}"
    host, port = ("", 0) if text == LOCAL else _head(text)
    if importlib.util.find_spec("ray") is None:
        raise PerfgateError(
            "Ray is not installed",
            where=where,
            next_step="python -m pip install 'pytest-perfgate[fleet]'",
        )
    if host:
        _reach(host, port, where)
    return text


def _head(text: str) -> tuple[str, int]:
    """Host and port of the address of a cluster."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    alone = not (parts.path or parts.query or parts.fragment or parts.username)
    if parts.scheme != "ray" or not parts.hostname or not port or not alone:
        raise PerfgateError("it is not an address", where=f"{OPTION} {text}", valid=VALID)
    return parts.hostname, port


def _reach(host: str, port: int, where: str) -> None:
    try:
        socket.create_connection((host, port), _PATIENCE).close()
    except OSError as error:
        raise PerfgateError(
            f"no cluster answers there: {error.strerror or error}",
            where=where,
            valid=VALID,
            next_step="on the head: ray status; ray start --head --ray-client-server-port=10001",
        ) from None
