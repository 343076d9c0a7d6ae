"""Faults of the machine on either side of the wall: told in words, and nothing measured is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.measure import bench as module
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.worker.failures import failure
from pytest_perfgate.worker.protocol import MESSAGES, Failed, worker_command

from tests.suite.texts import FP32, SUITE, read

FULL = OSError(errno.ENOSPC, "No space left on device", "link.json")


def test_a_full_disk_is_told_without_a_traceback() -> None:
    """It would look for the cause in the code; any other error comes with one."""
    told = _failed(FULL)
    assert told.problem == "No space left on device: link.json"
    assert "free the disk" in told.next_step
    assert told.last_words == ""
    too_large = _failed(OSError(errno.EFBIG, "File too large"))  # a limit on the size of files
    assert (too_large.problem, too_large.last_words) == ("File too large", "")
    assert "Traceback" in _failed(FileNotFoundError(errno.ENOENT, "No such file", "x")).last_words


def _failed(error: Exception) -> Failed:
    try:
        raise error
    except OSError as raised:
        return failure(raised)


def test_a_profile_that_cannot_be_taken_loses_nothing_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the recipes of a judged suite are profiled: a note, and no error."""
    suite = read(tmp_path, SUITE + FP32).suite
    assert suite is not None
    ready: Any = SimpleNamespace(answer=SimpleNamespace(artifact=None))
    with Bench([Arm("fp32", suite, suite.recipes["fp32"])], for_command(tmp_path, "x"), print) as b:
        b._preparation.prepared["fp32"] = ready

        def full(*_: Any) -> None:
            raise FULL

        monkeypatch.setattr(module, "Pool", full)
        b.profile(["fp32"])
        assert "No space left on device" in b._profiles["fp32"].problem


@pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")
def test_a_job_that_cannot_be_read_is_a_message_and_no_traceback() -> None:
    """What a worker of another version makes of it."""
    job_read, job_write = os.pipe()
    message_read, message_write = os.pipe()
    process = subprocess.Popen(
        worker_command(sys.executable, job_read, message_write),
        pass_fds=(job_read, message_write),
        stderr=subprocess.PIPE,
    )
    os.close(job_read)
    os.close(message_write)
    os.write(job_write, b"Nonsense {}\n")
    os.close(job_write)
    _, errors = process.communicate()
    with open(message_read, "rb") as messages:  # noqa: PTH123 - a descriptor, not a path
        (line,) = messages.read().splitlines()
    message = MESSAGES.decode(line)
    assert isinstance(message, Failed)
    assert "is not a message" in message.problem
    assert b"Traceback" not in errors
    assert process.returncode == 0
