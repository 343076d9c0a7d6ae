"""Loading processes stand still between turns; they end with the process that they load for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc says who is alive, on Linux"),
]

PROGRAM = """\
import multiprocessing
import sys
from types import SimpleNamespace

import numpy as np
from pytest_perfgate.workloads.loader import Loader

class Pipeline:
    def preprocess(self, images):
        return np.stack(images), None

context = SimpleNamespace(
    data=lambda split: SimpleNamespace(images=[np.zeros((4, 4, 3), np.uint8)] * 8),
    pipeline=Pipeline(),
    session=lambda: SimpleNamespace(facts={}, run=lambda batch: None),
)
work = Loader().open(Loader.Options(num_workers=2, batch_size=2), context)
work.sample(0)
print(*(each.pid for each in multiprocessing.active_children()), flush=True)
sys.stdin.read()
"""


def state(pid: int) -> str | None:
    """As /proc says it: T stands still; None: there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def until(true: Callable[[], bool]) -> None:
    """Waits for it, at most half a minute."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("killed", [False, True], ids=["exits", "is killed"])
def test_no_loading_process_is_left(killed: bool) -> None:
    """Two stand still while it waits, and none is there soon after it has ended."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        workers = [int(each) for each in program.stdout.readline().split()]
        assert len(workers) == 2
        until(lambda: all(state(each) == "T" for each in workers))
        if killed:
            os.kill(program.pid, signal.SIGKILL)
        program.stdin.close()
        program.wait(30)
    until(lambda: all(state(each) in {None, "Z"} for each in workers))
