"""The cores that this process may run on: which are threads of one, and which of one kind."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_perfgate.machine.cpu_sensors import core_folders
from pytest_perfgate.machine.process_sessions import processes_of_session

_SYSTEM = "sys/devices/system/cpu"

_INTEL_KINDS = ("cpu_core", "cpu_atom", "cpu_lowpower")
"""Performance counters that a hybrid Intel processor has of its kinds of cores, the fastest first:
/sys/devices/<kind>/cpus."""

_ALIKE = 0.9
"""Capacities of cores of one kind: favoured cores of one die are some percent apart (x86), kinds of
ARM cores by half and more."""


def usable_cores() -> list[int]:
    """The cores that this process may run on: of its affinity, not of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores_of_session(leader: int) -> set[int]:
    """Numbers of the cores that threads of a session of processes (setsid(2)) may run on: a library
    may have put a thread on other cores than its process was started on. Empty where the kernel
    does not say, and when the session has ended.
    """
    if not hasattr(os, "sched_getaffinity"):
        return set()
    cores: set[int] = set()
    for process in processes_of_session(leader):
        with contextlib.suppress(OSError):  # it ended meanwhile
            for thread in (process / "task").iterdir():
                with contextlib.suppress(OSError):
                    cores |= os.sched_getaffinity(int(thread.name))
    return cores


def physical(numbers: Iterable[int], root: Path = Path("/")) -> list[tuple[int, ...]]:
    """These cores by the physical core that they are threads of, in its order; each by itself
    where the kernel does not tell.
    """
    groups: dict[int, list[int]] = {}
    for number in sorted(numbers):
        file = root / _SYSTEM / f"cpu{number}/topology/thread_siblings_list"
        try:
            first = min(expanded(file.read_text().strip()))
        except (OSError, ValueError):
            first = number
        groups.setdefault(first, []).append(number)
    return [tuple(groups[first]) for first in sorted(groups)]


def kinds(numbers: Sequence[int], root: Path = Path("/")) -> list[list[int]]:
    """These cores by their kind, the fastest first; one kind where the kernel does not tell."""
    intel = [_listed(root / "sys/devices" / name / "cpus") for name in _INTEL_KINDS]
    if sum(map(bool, intel)) > 1:
        named: set[int] = set().union(*intel)
        intel.append(set(numbers) - named)
        return [kept for kind in intel if (kept := [core for core in numbers if core in kind])]
    capacities = {core: _number(root / _SYSTEM / f"cpu{core}/cpu_capacity") for core in numbers}
    if not all(capacities.values()):
        return [sorted(numbers)]
    groups: list[list[int]] = []
    largest = 0
    for core in sorted(numbers, key=lambda core: -capacities[core]):
        if not groups or capacities[core] < _ALIKE * largest:
            groups.append([])
            largest = capacities[core]
        groups[-1].append(core)
    return [sorted(group) for group in groups]


def kind_rank(numbers: Sequence[int], root: Path = Path("/")) -> int:
    """Which of the machine's kinds of cores the fastest of these are of; 0 for its fastest."""
    machine = [int(folder.name[3:]) for folder in core_folders((), root)]
    fastest = kinds(numbers, root)[0]
    ranks = [rank for rank, kind in enumerate(kinds(machine, root)) if set(kind) & set(fastest)]
    return min(ranks, default=0)


def measuring_places(
    numbers: Sequence[int], width: int, root: Path = Path("/")
) -> list[tuple[int, ...]]:
    """The places that launches of `width` cores go round: sets of cores that share nothing.

    Each core is the first thread of its physical one, so that no launch that loads slows down the
    one that measures, and all are of one kind: the fastest that has as many. Where no kind has, the
    cores of all kinds make one place, and where these are too few their other threads too.
    """
    ordered = sorted(numbers)
    firsts = [threads[0] for threads in physical(ordered, root)]
    for kind in kinds(firsts, root):
        if len(kind) >= width:
            return [tuple(kind[at : at + width]) for at in range(0, len(kind) - width + 1, width)]
    chosen = firsts if len(firsts) >= width else ordered
    return [tuple(chosen[:width])]


def isolated(root: Path = Path("/")) -> frozenset[int]:
    """The cores that the kernel gives to nobody who does not ask for them (`isolcpus`)."""
    return frozenset(_listed(root / _SYSTEM / "isolated"))


def _listed(file: Path) -> set[int]:
    """The cores that a file of the kernel lists; none where there is no such file."""
    try:
        return expanded(file.read_text().strip())
    except (OSError, ValueError):
        return set()


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


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
