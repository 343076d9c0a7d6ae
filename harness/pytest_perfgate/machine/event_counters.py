"""Events of this process, counted by the kernel: page faults; instructions where it offers them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
from collections.abc import Callable, Iterator

_CALLS = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
"""The number of perf_event_open(2), which the C library has no function for."""

_SIZE = 128  # bytes of struct perf_event_attr; a kernel that knows fewer is given zeros there
_HARDWARE, _INSTRUCTIONS = 0, 1
_INHERIT, _NO_KERNEL, _NO_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6

NO_COUNTERS = "the kernel offers no hardware counters here"


def page_faults() -> int:
    """Page faults of this process so far that needed no disk (getrusage(2), `ru_minflt`)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class CountersRefusedError(Exception):
    """The kernel counts no instructions for this process; the message says why."""


@contextlib.contextmanager
def instructions() -> Iterator[Callable[[], int]]:
    """A function that tells the instructions of this process so far, outside the kernel, in threads
    that begin from now on too.

    Raises:
        CountersRefusedError: the kernel or the machine has no counter for them.
    """
    number = _CALLS.get(platform.machine())
    if number is None:
        raise CountersRefusedError(f"perf_event_open(2) is not known for {platform.machine()}")
    flags = _INHERIT | _NO_KERNEL | _NO_HYPERVISOR
    # type, size, config, period, sample and read format, flags: the rest is zero.
    head = struct.pack("<IIQQQQQ", _HARDWARE, _SIZE, _INSTRUCTIONS, 0, 0, 0, flags)
    attributes = ctypes.create_string_buffer(head, _SIZE)
    library = ctypes.CDLL(None, use_errno=True)
    this, any_core, no_group, no_flags = 0, -1, -1, 0
    counter = library.syscall(number, attributes, this, any_core, no_group, no_flags)
    if counter < 0:
        code = ctypes.get_errno()
        raise CountersRefusedError(f"{NO_COUNTERS} (perf_event_open: {os.strerror(code)})")
    try:
        yield lambda: int(struct.unpack("<Q", os.read(counter, 8))[0])
    finally:
        os.close(counter)
