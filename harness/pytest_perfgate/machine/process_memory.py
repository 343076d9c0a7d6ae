"""Resident memory of this process, from the kernel."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path

_PR_SET_THP_DISABLE = 41
_STATUS = Path("/proc/self/status")
_SMAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")
_LIBRARY = re.compile(r"\.so(\.[\w.]+)?$")
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


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MAPPED = 128 * 1024  # bytes of a block: glibc's own threshold before it adapts


def only_what_is_in_use() -> None:
    """From now on what is resident is in use, as far as the allocator can be told (mallopt(3)):
    large blocks are mapped one by one and given back when they are freed, and so is the end of the
    heap. Holes between blocks, which depend on the order in which they came, are no memory of the
    program's. Pages are small ones.
    """
    small_pages()
    settings = getattr(ctypes.CDLL(None), "mallopt", None)
    if settings is not None:
        for name, value in (
            (_M_MMAP_THRESHOLD, _MAPPED),
            (_M_TRIM_THRESHOLD, _MAPPED),
            (_M_TOP_PAD, 0),
        ):
            settings(name, value)
    trim()
    _release_top()


class _Mallinfo(ctypes.Structure):
    """What mallinfo2(3) gives; `keepcost` is the size of the free end of the heap."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    )


_MADV_DONTNEED = 4


def _release_top() -> None:
    """Gives back the pages of the free end of the heap, which glibc keeps up to a whole huge page:
    blocks that come to lie there would seem to take nothing.
    """
    library = ctypes.CDLL(None)
    info, end_of_heap = getattr(library, "mallinfo2", None), getattr(library, "sbrk", None)
    if info is None or end_of_heap is None:
        return
    info.restype, end_of_heap.restype = _Mallinfo, ctypes.c_size_t
    end_of_heap.argtypes = [ctypes.c_ssize_t]
    library.madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    end = end_of_heap(0)
    begin = -(-(end - info().keepcost) // mmap.PAGESIZE) * mmap.PAGESIZE
    # The allocator's own words about the end stand before its first whole page.
    if begin + mmap.PAGESIZE < end:
        begin += mmap.PAGESIZE
        library.madvise(begin, end - begin, _MADV_DONTNEED)


def peak() -> int | None:
    """Highest bytes resident since `reset_peak` (`VmHWM`), None where the kernel does not tell."""
    return _field("VmHWM")


def reset_peak() -> None:
    """Sets the high-water mark to what is resident now (proc(5), clear_refs value 5)."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return


def grown_beside_libraries() -> Callable[[], int | None]:
    """As `grown`, without what became resident of shared libraries: the kernel maps their pages
    around those that are used, as many as it happens to have in its cache.
    """
    begin, most = libraries(), grown()

    def beside() -> int | None:
        size, end = most(), libraries()
        if size is None or begin is None or end is None:
            return None
        return max(0, size - max(0, end - begin))

    return beside


def libraries() -> int | None:
    """Bytes resident now of shared libraries, None where the kernel does not tell."""
    try:
        text = _SMAPS.read_text()
    except OSError:
        return None
    kilobytes, counts = 0, False
    for line in text.splitlines():
        if (mapping := _MAPPING.match(line)) is not None:
            counts = _LIBRARY.search(mapping[1]) is not None
        elif counts and line.startswith("Rss:"):
            kilobytes += int(line.split()[1])
    return kilobytes * 1024


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
