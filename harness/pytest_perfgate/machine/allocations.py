"""Allocations of this process, as memray sees them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path


def allocations(work: Callable[[], object]) -> tuple[int, int]:
    """How often `work` asks the system for memory, in all threads, and for how many bytes: malloc
    and its kin, `new`, and mmap. What a pool of the runtime or of Python gives out again is none.
    """
    from memray import AllocatorType, FileReader, Tracker

    freed = {AllocatorType.FREE, AllocatorType.MUNMAP}
    count = size = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "allocations"
        with Tracker(file):
            work()
        with FileReader(file) as reader:
            for record in reader.get_allocation_records():
                if record.allocator not in freed:
                    count, size = count + 1, size + record.size
    return count, size
