"""How the kernel shares a core between processes that take turns on it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # numbers of the system call: glibc 2.41 names it
_ATTR = struct.Struct("=IIQiIQQQ")  # struct sched_attr, sched_setattr(2)
_SLICE = 100_000_000  # nanoseconds; the longest that the kernel takes


def hand_over_in_order() -> bool:
    """Arranges that this process and its children do not interrupt each other; whether it worked.

    By default the process that is woken by a write takes the core from the writer, which is then
    still to reach its own read: it does so in the middle of the next arm's time. A process of the
    kernel's batch class waits until the writer has gone to sleep (sched(7)).

    It waits no longer than the writer's slice, of about 3 ms, which turns of 2 ms soon use up: a
    longer slice lets the writer reach its read. Kernels before 6.12 have one slice for all.
    """
    if not hasattr(os, "SCHED_BATCH"):
        return False
    # Children inherit both; no privilege is needed for them, unlike for the real-time classes.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    orderly = os.sched_getscheduler(0) == os.SCHED_BATCH
    if orderly:
        # A kernel that refuses it leaves the class as it is, and `waited` shows the rest.
        _set_slice(os.SCHED_BATCH, _SLICE)
    return orderly


def run_when_due() -> None:
    """Undoes `hand_over_in_order` for this process and the children that it starts from now on:
    who sends at a time that is fixed beforehand must not wait for others' slices to end, and a
    server runs as it does for its users.
    """
    if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_BATCH:
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        _set_slice(os.SCHED_OTHER, 0)


def _set_slice(policy: int, nanoseconds: int) -> None:
    """Sets the slice of this process; 0: the kernel's own."""
    number = _SCHED_SETATTR.get(platform.machine())
    if number is not None and sys.maxsize > 2**32:  # a 32-bit program's differ
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        attr = _ATTR.pack(_ATTR.size, policy, 0, nice, 0, nanoseconds, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attr, 0)
