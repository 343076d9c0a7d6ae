"""How long programs were ready to run while others had their core, as the kernel counts it."""

from __future__ import annotations

import os


def seconds_waited(task: str) -> float | None:
    """Seconds that a thread was ready to run and did not; None: the kernel does not count them.

    Args:
        task: folder in `/proc` of the thread, or of a process for its main thread.

    The second number of `schedstat` (the kernel's documentation of scheduler statistics).
    """
    try:
        # Read in each turn of a launch: a file object takes three times as long.
        handle = os.open(f"{task}/schedstat", os.O_RDONLY)
    except OSError:
        return None
    try:
        fields = os.read(handle, 100).split()
    except OSError:  # a thread that has ended meanwhile
        return None
    finally:
        os.close(handle)
    return int(fields[1]) * 1e-9 if len(fields) == 3 and fields[1].isdigit() else None


def seconds_waited_here(tasks: str = "/proc/self/task") -> float:
    """Seconds that the threads of this process that live now were ready to run and did not.

    0 where the kernel does not count them.
    """
    try:
        threads = os.listdir(tasks)  # noqa: PTH208 - read in each turn, as above
    except OSError:
        return 0.0
    # A thread that ends meanwhile has no statistics any more.
    return sum(seconds_waited(f"{tasks}/{thread}") or 0.0 for thread in threads)
