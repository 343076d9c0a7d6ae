"""A real OpenSSH server on loopback, with keys made for the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = shutil.which("sshd") or "/usr/sbin/sshd"


class SshServer:
    """A server whose host the client calls "desk"; `folder` has keys, settings and logs. Sessions
    there hold locks in `locks`, None: those of this machine.

    Attributes:
        known: the client's file of host keys.
        bin: a folder with a client that knows the host, for PATH.
    """

    def __init__(self, folder: Path, locks: Path | None = None) -> None:
        self.folder = folder
        self.known = folder / "known"
        self.bin = folder / "bin"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        self.trust()
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n"
            + (f"SetEnv TMPDIR={locks}\n" if locks else "")
        )
        (folder / "ssh_config").write_text(
            f"Host desk\nHostName 127.0.0.1\nPort {self.port}\nIdentityFile {folder}/user\n"
            f"IdentitiesOnly yes\nUserKnownHostsFile {self.known}\n"
        )
        self.bin.mkdir()
        client = self.bin / "ssh"
        client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
        client.chmod(0o755)

    def trust(self) -> None:
        """Writes the host's key into the client's file."""
        key = (self.folder / "host.pub").read_text()
        self.known.write_text(f"[127.0.0.1]:{self.port} {key}")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The server, while the block runs."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # of privilege separation
        command = [SERVER, "-D", "-f", f"{self.folder}/sshd_config", "-E", f"{self.folder}/log"]
        process = subprocess.Popen(command)
        try:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> SshServer:
    """A server that is not running yet; skipped where there can be none."""
    if not Path(SERVER).is_file() or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH server: apt-get install openssh-server")
    if os.getuid() != 0:
        pytest.skip("sshd gives a session to users of its own: needs root")
    # Like those of other tests, its sessions wait for nobody's measurement.
    return SshServer(tmp_path_factory.mktemp("ssh"), tmp_path_factory.mktemp("locks"))
