"""What is counted as this process's memory, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEGABYTE = 1_000_000

HOLES = """
import numpy as np
from pytest_perfgate.machine import process_memory

{settings}
most = process_memory.grown_beside_libraries()
blocks = [np.ones(250_000, np.uint8) for _ in range(200)]  # 50 MB
del blocks[::2]
more = [np.ones(260_000, np.uint8) for _ in range(60)]  # they fit into no hole
print(most())
"""


def peak(settings: str) -> int:
    """Bytes, with the allocator as workers have it."""
    from pytest_perfgate.measure.worker_environment import worker_env

    done = subprocess.run(
        [sys.executable, "-c", HOLES.format(settings=settings)],
        env=worker_env(1),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_holes_between_blocks_are_no_memory_of_the_program() -> None:
    """50 MB are the most that is in use at once: what comes later takes the place of what was
    freed. With the settings for times, blocks that fit into no hole come on top.
    """
    if not sys.platform.startswith("linux") or not peak("pass"):
        pytest.skip("the kernel does not tell")
    exact = [peak("process_memory.only_what_is_in_use()") for _ in range(3)]
    assert all(size == pytest.approx(50 * MEGABYTE, rel=0.02) for size in exact)
    assert max(exact) - min(exact) < 0.01 * max(exact)
    assert peak("pass") > 60 * MEGABYTE
