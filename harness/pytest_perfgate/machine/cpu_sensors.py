"""Conditions of an interval, from the kernel: stolen time, other processes, swapping, throttling.

Everything is read from /proc and /sys at the begin and at the end, which takes about a
millisecond; nothing runs in between. What cannot be read is None, and nothing here raises.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.run_queue import seconds_waited

_SHORTEST = 0.5  # seconds below which the kernel's ticks of 10 ms are too coarse for a share
_GROUPS = "sys/fs/cgroup"

_CPU_TIMES = 8  # user, nice, system, idle, iowait, irq, softirq, steal: see proc_stat(5)
_IDLE, _IOWAIT, _STEAL = 3, 4, 7
_MAJFLT, _CMAJFLT = 9, 10  # of /proc/PID/stat, counted from the state on: proc_pid_stat(5)
_TIMES = slice(11, 13)  # utime, stime
_CHILDREN = slice(13, 15)  # cutime, cstime

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class _Processes:
    """Sums over the launch and its arms: CPU seconds, seconds of waiting, major faults."""

    cpu: float
    faults: int
    waited: float | None


@dataclass(frozen=True)
class _Snapshot:
    """All counters at one moment; times in seconds."""

    clock: float
    cores: Mapping[int, tuple[float, ...]] | None
    processes: _Processes | None
    swapped: tuple[int, int] | None
    throttles: int | None
    quota: tuple[int, float] | None
    cpu_pressure: float | None
    memory_pressure: float | None


class Sensors:
    """Watches from its making to `stop`.

    Args:
        cores: the cores that matter; empty for all.
        pids: the processes whose use of the cores is wanted; this process is always one of them,
            and so is every child that it has waited for.
        orderly: whether these processes wait for a core only when it is in the hands of others;
            otherwise `waited` says nothing and is not measured.
        root: where /proc and /sys are found.
    """

    def __init__(
        self,
        cores: Sequence[int],
        pids: Sequence[int],
        *,
        orderly: bool = False,
        root: Path = Path("/"),
    ) -> None:
        self._orderly = orderly
        self._cores = tuple(cores)
        self._pids = tuple(pids)
        self._root = root
        self._tick = 1 / os.sysconf("SC_CLK_TCK")
        self._groups = _group_files(root)
        self._frequencies: list[float] = []
        self._begin = self._read()

    def look(self) -> None:
        """Reads the cores' frequencies, which have no counter: for between two rounds."""
        self._frequencies += frequencies(self._cores, self._root)

    def stop(self, index: int) -> Conditions:
        """The conditions since the begin, as those of launch `index`."""
        self.look()
        begin, end = self._begin, self._read()
        seconds = end.clock - begin.clock
        stolen, others = self._shares(begin, end)
        waited, faults = None, None
        if begin.processes and end.processes:
            faults = max(0, end.processes.faults - begin.processes.faults)
            if self._orderly:
                waited = _share(begin.processes.waited, end.processes.waited, seconds)
        swapped: tuple[int | None, int | None] = (None, None)
        if begin.swapped and end.swapped:
            swapped = (end.swapped[0] - begin.swapped[0], end.swapped[1] - begin.swapped[1])
        throttles, quota_stops, quota_stopped = None, None, None
        if begin.throttles is not None and end.throttles is not None:
            throttles = max(0, end.throttles - begin.throttles)
        if begin.quota and end.quota:
            quota_stops = max(0, end.quota[0] - begin.quota[0])
            quota_stopped = _share(begin.quota[1], end.quota[1], seconds)
        hertz = self._frequencies
        return Conditions(
            index=index,
            seconds=round(seconds, 3),
            cores=self._cores,
            stolen=stolen,
            others=others,
            waited=waited,
            swapped_in=swapped[0],
            swapped_out=swapped[1],
            major_faults=faults,
            frequency_lowest=min(hertz) if hertz else None,
            frequency_mean=sum(hertz) / len(hertz) if hertz else None,
            throttle_events=throttles,
            quota_stops=quota_stops,
            quota_stopped=quota_stopped,
            cpu_pressure=_share(begin.cpu_pressure, end.cpu_pressure, seconds),
            memory_pressure=_share(begin.memory_pressure, end.memory_pressure, seconds),
        )

    def _read(self) -> _Snapshot:
        root = self._root
        return _Snapshot(
            clock=time.monotonic(),
            cores=_try(lambda: _core_times(root, self._cores, self._tick)),
            processes=_try(lambda: _processes(root, self._pids, self._tick)),
            swapped=_try(lambda: _swapped(root)),
            throttles=_throttles(root, self._cores),
            quota=_quota(self._groups),
            cpu_pressure=_try(lambda: _pressure(root, "cpu")),
            memory_pressure=_try(lambda: _pressure(root, "memory")),
        )

    def _shares(self, begin: _Snapshot, end: _Snapshot) -> tuple[float | None, float | None]:
        """The shares of the cores' time that were stolen, and used by others."""
        if not begin.cores or not end.cores or begin.cores.keys() != end.cores.keys():
            return None, None
        passed = [
            max(0.0, after - before)
            for core in begin.cores
            for before, after in zip(begin.cores[core], end.cores[core], strict=True)
        ]
        total = sum(passed)
        # The counters move in ticks of 10 ms: of a short interval a share would be their rounding.
        if total < _SHORTEST * len(begin.cores):
            return None, None
        stolen = sum(passed[_STEAL::_CPU_TIMES])
        idle = sum(passed[_IDLE::_CPU_TIMES]) + sum(passed[_IOWAIT::_CPU_TIMES])
        others = None
        if begin.processes and end.processes:
            # What is neither idle, nor stolen, nor ours is others' work: no process of theirs is
            # looked at, which an unprivileged process may not do in a container.
            own = end.processes.cpu - begin.processes.cpu
            others = _clamped((total - stolen - idle - own) / total)
        return _clamped(stolen / total), others


def frequencies(cores: Iterable[int], root: Path = Path("/")) -> list[float]:
    """The frequency of each core now, in Hz; of all cores when `cores` is empty. Those that the
    kernel does not tell, as in most virtual machines, are left out.
    """
    read = []
    for core in core_folders(cores, root):
        text = read_text(core / "cpufreq" / "scaling_cur_freq")
        if text.isdecimal():
            read.append(int(text) * 1e3)
    return read


def core_folders(cores: Iterable[int], root: Path = Path("/")) -> list[Path]:
    """The folders of these cores in /sys, of all when `cores` is empty."""
    folder = root / "sys/devices/system/cpu"
    named = [folder / f"cpu{core}" for core in cores]
    if named:
        return named
    try:
        return sorted(core for core in folder.iterdir() if core.name[3:].isdecimal())
    except OSError:
        return []


def read_text(file: Path) -> str:
    """What a file of the kernel says, without space around it; "" when it cannot be read."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def process_times(root: Path, pid: int | str, *, children: bool = True) -> tuple[int, int]:
    """CPU ticks and major faults of a process, with those of the `children` it has waited for.

    Raises:
        OSError: there is no such process.
        ValueError, IndexError: the kernel says something else than it should.
    """
    text = (root / "proc" / str(pid) / "stat").read_text(errors="replace")
    # The second field is the name in brackets, which may hold spaces and brackets itself.
    fields = text.rpartition(")")[2].split()
    ticks = fields[_TIMES] + (fields[_CHILDREN] if children else [])
    faults = [fields[_MAJFLT]] + ([fields[_CMAJFLT]] if children else [])
    return sum(map(int, ticks)), sum(map(int, faults))


def _try(read: Callable[[], _Read]) -> _Read | None:
    try:
        return read()
    except (OSError, ValueError, IndexError, KeyError):
        return None


def _core_times(root: Path, cores: Sequence[int], tick: float) -> dict[int, tuple[float, ...]]:
    by_core = {}
    for line in (root / "proc/stat").read_text().splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name[3:].isdecimal():
            core = int(name[3:])
            if not cores or core in cores:
                times = tuple(int(number) * tick for number in numbers[:_CPU_TIMES])
                if len(times) != _CPU_TIMES:
                    raise ValueError(line)
                by_core[core] = times
    # A core that is missing (taken offline) raises KeyError: then nothing is known of the shares.
    return {core: by_core[core] for core in cores or by_core}


def _processes(root: Path, pids: Sequence[int], tick: float) -> _Processes:
    """Of this process and `pids`; one of them that has ended is part of this process by then."""
    ticks, faults = process_times(root, "self")
    waits = [seconds_waited(f"{root}/proc/self")]
    for pid in pids:
        try:
            more, missed = process_times(root, pid)
        except OSError:
            # It has ended: its time is among `cutime` of this process, which waited for it.
            continue
        ticks, faults = ticks + more, faults + missed
        waits.append(seconds_waited(f"{root}/proc/{pid}"))
    known = [wait for wait in waits if wait is not None]
    return _Processes(ticks * tick, faults, sum(known) if len(known) == len(waits) else None)


def _swapped(root: Path) -> tuple[int, int]:
    counted = dict(line.split() for line in (root / "proc/vmstat").read_text().splitlines())
    return int(counted["pswpin"]), int(counted["pswpout"])


def _throttles(root: Path, cores: Sequence[int]) -> int | None:
    counts = [
        int(text)
        for core in core_folders(cores, root)
        for name in ("core_throttle_count", "package_throttle_count")
        if (text := read_text(core / "thermal_throttle" / name)).isdecimal()
    ]
    return sum(counts) if counts else None


def group_folders(root: Path = Path("/")) -> list[Path]:
    """The own control group for CPU time and those above it, of both versions of cgroups.

    Inside a container the group's own path is often not mounted; what is, is its root.
    """
    folders = []
    for line in read_text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            bases = [root / _GROUPS, root / _GROUPS / "unified"]
        elif "cpu" in controllers.split(","):
            bases = [root / _GROUPS / controllers, root / _GROUPS / "cpu"]
        else:
            continue
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        for base in bases:
            # Every group above may have a quota of its own, and any of them stops this process.
            folders += [base.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    distinct: dict[Path, Path] = {}
    for folder in folders:
        if (folder / "cpu.stat").is_file():
            distinct.setdefault(folder.resolve(), folder)
    return list(distinct.values())


def _group_files(root: Path) -> tuple[Path, ...]:
    files = _try(lambda: [folder / "cpu.stat" for folder in group_folders(root)]) or []
    return tuple(file for file in files if "nr_throttled" in read_text(file))


def _quota(files: Sequence[Path]) -> tuple[int, float] | None:
    """Stops, and seconds of them, over a group and those above it; None: no group counts them."""
    stops, seconds, known = 0, 0.0, False
    for file in files:
        try:
            counted = {
                name: int(number)
                for name, _, number in (
                    line.partition(" ") for line in read_text(file).splitlines()
                )
            }
            stops += counted["nr_throttled"]
            if "throttled_usec" in counted:  # version 2
                seconds += counted["throttled_usec"] * 1e-6
            else:
                seconds += counted["throttled_time"] * 1e-9
        except (ValueError, KeyError):
            return None
        known = True
    return (stops, seconds) if known else None


def _pressure(root: Path, what: str) -> float:
    """Seconds so far in which some process waited for it."""
    line = (root / "proc/pressure" / what).read_text().splitlines()[0]
    name, *fields = line.split()
    if name != "some":
        raise ValueError(line)
    return int(dict(field.split("=") for field in fields)["total"]) * 1e-6


def _share(begin: float | None, end: float | None, seconds: float) -> float | None:
    if begin is None or end is None or seconds <= 0 or end < begin:
        return None  # less than before: a process ended in between and took its count with it
    return _clamped((end - begin) / seconds)


def _clamped(share: float) -> float:
    return round(min(1.0, max(0.0, share)), 4)
