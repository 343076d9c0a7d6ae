"""A PostgreSQL server of its own for tests, on a free port of the loopback address."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

USER = "postgres"


def _program(name: str) -> str:
    places = [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install postgresql")
    return found


@contextlib.contextmanager
def server(folder: Path) -> Iterator[int]:
    """The port of a server whose data is below an empty folder; every local user is let in as the
    superuser.
    """
    initdb, postgres = _program("initdb"), _program("postgres")
    owner: dict[str, str] = {}
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            account = pwd.getpwnam(USER)
        except KeyError:
            pytest.skip(f"root runs the tests, and there is no user {USER}")
        folder = Path("/tmp", f"perfgate-postgresql-{os.getpid()}")  # noqa: S108 - others enter it
        folder.mkdir(mode=0o700)
        os.chown(folder, account.pw_uid, account.pw_gid)
        owner = {"user": USER, "group": account.pw_gid}  # type: ignore[dict-item]
    try:
        data = folder / "data"
        options = ("--username=postgres", "--auth=trust", "--no-sync", "--no-instructions")
        subprocess.run(  # type: ignore[call-overload]
            [initdb, "-D", data, *options], check=True, capture_output=True, cwd="/", **owner
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = ("listen_addresses=127.0.0.1", "fsync=off", f"unix_socket_directories={folder}")
        words = [word for setting in settings for word in ("-c", setting)]
        running = subprocess.Popen(  # type: ignore[call-overload]
            [postgres, "-D", data, "-p", str(port), *words],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **owner,
        )
        try:
            _wait(port)
            yield port
        finally:
            running.terminate()
            running.wait()
    finally:
        if owner:
            shutil.rmtree(folder)


def _wait(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
