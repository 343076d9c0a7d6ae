"""Loading processes stand still between turns; they end with the process that they load for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine.processes import SHARED, free_shared_memory, obituary
from pytest_perfgate.workloads import loader
from pytest_perfgate.workloads.loader import Loader

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
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.workloads.loader import Loader

class Pipeline:
    def preprocess(self, images):
        return Inputs(np.stack(images)), None

context = SimpleNamespace(
    data=lambda split: SimpleNamespace(images=[np.zeros((4, 4, 3), np.uint8)] * 8),
    pipeline=Pipeline(),
    session=lambda: SimpleNamespace(facts={}, run=lambda batch: None),
    check=None,
)
work = Loader().open(Loader.Options(num_workers=2, batch_size=2), context)
work.sample(0)
print(*(each.pid for each in multiprocessing.active_children()), flush=True)
sys.stdin.read()
"""


def test_a_small_shared_memory_is_said_before_a_process_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Docker's default is 64 MB: five batches of two images, and room for four."""
    image = np.zeros((4, 4, 3), np.uint8)
    context: Any = SimpleNamespace(
        data=lambda _: SimpleNamespace(images=[image] * 8),
        pipeline=SimpleNamespace(preprocess=lambda images: (Inputs(np.stack(images)), None)),
    )
    options = Loader.Options(num_workers=2, batch_size=2)
    monkeypatch.setattr(loader, "free_shared_memory", lambda: 4 * 2 * image.nbytes)
    with pytest.raises(RuntimeFault, match=r"5 batches of 96\.0 B .* /dev/shm has 384 B") as raised:
        Loader().open(options, context)
    assert "--shm-size" in raised.value.next_step
    assert not multiprocessing.active_children()


def test_sigbus_names_the_shared_memory() -> None:
    """Whoever was ended by it: a trainer's own loader shares memory, too."""
    problem, next_step = obituary(-signal.SIGBUS)
    assert str(SHARED) in problem
    assert "--shm-size" in next_step
    free = free_shared_memory()
    assert free is None or free >= 0


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
        workers = [int(pid) for pid in program.stdout.readline().split()]
        assert len(workers) == 2
        until(lambda: all(state(worker) == "T" for worker in workers))
        if killed:
            os.kill(program.pid, signal.SIGKILL)
        program.stdin.close()
        program.wait(30)
    until(lambda: all(state(worker) in {None, "Z"} for worker in workers))
