"""No process outlives the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Arranges that this process is killed when its parent ends, even when that is killed.

    A process that stands still is killed like any other.
    """
    if sys.platform != "linux":
        return
    # The kernel forgets this at exec and at fork: each process asks for itself (prctl(2)).
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
