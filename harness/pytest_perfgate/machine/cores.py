"""The cores that this process may run on, and which of them are threads of one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path


def usable_cores() -> list[int]:
    """The cores that this process may run on: of its affinity, not of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def physical(numbers: Iterable[int], root: Path = Path("/")) -> list[tuple[int, ...]]:
    """These cores by the physical core that they are threads of, in its order; each by itself
    where the kernel does not tell.
    """
    groups: dict[int, list[int]] = {}
    for number in sorted(numbers):
        file = root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"
        try:
            first = min(expanded(file.read_text().strip()))
        except (OSError, ValueError):
            first = number
        groups.setdefault(first, []).append(number)
    return [tuple(groups[first]) for first in sorted(groups)]


def expanded(text: str) -> set[int]:
    """The numbers of a list as the kernel writes it: "0-3,8"."""
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise ValueError(text)
        first = int(match[1])
        last = int(match[2] or first)
        # More than any kernel counts: a wrong text must not fill the memory.
        if not first <= last < first + 4096:
            raise ValueError(text)
        numbers |= set(range(first, last + 1))
    return numbers
