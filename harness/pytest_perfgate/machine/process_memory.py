"""Resident memory of this process, from the kernel."""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path

_PR_SET_THP_DISABLE = 41
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def resident() -> int | None:
    """Bytes resident now (`VmRSS`), None where the kernel does not tell."""
    return _field("VmRSS")


def held() -> int | None:
    """Bytes resident now that no file holds (`RssAnon`), less what the allocator keeps of memory
    that was freed, where it can be told to give that back (glibc's malloc_trim(3)): a leak would
    eat it up first, unseen. None where the kernel does not tell.
    """
    trim()
    return _field("RssAnon")


def trim() -> None:
    """Gives back to the kernel what the allocator keeps of memory that was freed (malloc_trim(3));
    nothing where it cannot be told to.
    """
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:  # musl has none
        give_back(0)


def small_pages() -> None:
    """From now on the kernel gives this process no huge pages (prctl(2), PR_SET_THP_DISABLE): it
    puts them together whenever it likes, and what is resident then grows by megabytes.
    """
    _disable_huge_pages(1)


@contextlib.contextmanager
def only_small_pages() -> Iterator[None]:
    """The same for a while; pages that this process got meanwhile stay as they are."""
    _disable_huge_pages(1)
    try:
        yield
    finally:
        _disable_huge_pages(0)


def _disable_huge_pages(value: int) -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_THP_DISABLE, value, 0, 0, 0)


def peak() -> int | None:
    """Highest bytes resident since `reset_peak` (`VmHWM`), None where the kernel does not tell."""
    return _field("VmHWM")


def reset_peak() -> None:
    """Sets the high-water mark to what is resident now (proc(5), clear_refs value 5)."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return


def grown() -> Callable[[], int | None]:
    """Watches this process from now on; what it gives tells the most bytes that became resident
    since, None where the kernel does not tell.
    """
    # The mark is the process's, and nothing else here may set it again: one watcher at a time.
    begin = resident()
    reset_peak()

    def most() -> int | None:
        highest = peak()
        return None if highest is None or begin is None else max(0, highest - begin)

    return most


def _field(name: str) -> int | None:
    try:
        text = _STATUS.read_text()
    except OSError:
        return None
    match = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None
