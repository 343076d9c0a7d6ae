"""The memory of a server and its workers, as the kernel says it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_perfgate.machine.process_sessions import (
    held_by_session,
    peak_of_session,
    processes_of_session,
)

MEGABYTES = 40
SERVER = f"""
import subprocess, sys
worker = "kept = bytearray(b'x' * {MEGABYTES} * 2**20); print('ready', flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", worker], stdin=subprocess.PIPE)
input()
child.communicate(b"\\n")
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes of Linux")
def test_the_memory_of_a_session_is_that_of_all_its_processes() -> None:
    """A worker's counts, and none that is of another session."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        assert len(list(processes_of_session(server.pid))) == 2
        held, peak = held_by_session(server.pid), peak_of_session(server.pid)
        assert held is not None
        assert peak is not None
        assert MEGABYTES * 2**20 < held < (MEGABYTES + 60) * 2**20
        assert peak > held
    finally:
        server.communicate(b"\n")
    assert not list(processes_of_session(server.pid))
    assert held_by_session(server.pid) is None
