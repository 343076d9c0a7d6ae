"""How this machine is set up, and who else uses it: for `pytest-perfgate doctor`.

All of it is read from /proc and /sys; what cannot be read is None or absent, and nothing raises.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.cores import expanded
from pytest_perfgate.machine.cpu_quota import quota
from pytest_perfgate.machine.cpu_sensors import core_folders, process_times, read_text

_BUSY = 0.03  # share of a core below which a process is not named
_NAMED = 5


class Busy(Frozen):
    """Another process that used the machine: `share` is of one core, so 2 threads can be 2.0."""

    pid: int
    name: str
    share: float


class Surroundings(Frozen):
    """What is set, and does not change while one measures.

    Attributes:
        virtual: whether a hypervisor is under this system.
        governor: what chooses the cores' frequency, several separated by commas.
        boost: whether cores may exceed their nominal frequency.
        siblings: whether two of the cores that may be used are threads of one physical core.
        quota: CPU time that the control group may use, in cores; None without a quota.
        load: the mean number of ready processes in the last minute.
        swap_used: bytes of memory that are swapped out.
    """

    virtual: bool | None = None
    governor: str | None = None
    boost: bool | None = None
    siblings: bool | None = None
    quota: float | None = None
    load: float | None = None
    swap_used: int | None = None


def surroundings(cores: Collection[int], root: Path = Path("/")) -> Surroundings:
    """What this machine is set to; `cores` are those that may be used."""
    folders = core_folders(sorted(cores), root)
    governors = {read_text(folder / "cpufreq/scaling_governor") for folder in folders} - {""}
    flags = re.search(r"^flags\s*:(.*)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    first = read_text(root / "proc/loadavg").partition(" ")[0]
    return Surroundings(
        virtual="hypervisor" in flags.group(1).split() if flags else None,
        governor=", ".join(sorted(governors)) or None,
        boost=_boost(root),
        siblings=_siblings(folders, cores),
        quota=quota(root),
        load=float(first) if re.fullmatch(r"\d+\.\d+", first) else None,
        swap_used=_swap(root),
    )


class Neighbours:
    """Counts the CPU time of every process from its making on, to tell who was busy."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = _all_times(root)

    def busiest(self, seconds: float) -> tuple[Busy, ...]:
        """Those that used more than 3 % of a core over the `seconds` since, the busiest first.

        This process and all that it started are left out, and so is what lived only in between.
        """
        tick = 1 / os.sysconf("SC_CLK_TCK")
        now = _all_times(self._root)
        family = _family(self._root, os.getpid(), now)
        busy = []
        for pid, ticks in now.items():
            share = (ticks - self._before.get(pid, 0)) * tick / seconds if seconds > 0 else 0.0
            if share > _BUSY and pid not in family:
                name = read_text(self._root / "proc" / str(pid) / "comm") or "unknown"
                busy.append(Busy(pid=pid, name=name, share=round(share, 3)))
        return tuple(sorted(busy, key=lambda one: (-one.share, one.pid))[:_NAMED])


def _all_times(root: Path) -> dict[int, int]:
    """Ticks of every process that can be seen, without those of the children it waited for."""
    ticks = {}
    try:
        names = os.listdir(root / "proc")  # noqa: PTH208 - thousands of them, as plain names
    except OSError:
        return {}
    for name in names:
        if name.isdecimal():
            try:
                ticks[int(name)] = process_times(root, name, children=False)[0]
            except (OSError, ValueError, IndexError):
                continue
    return ticks


def _family(root: Path, pid: int, known: Mapping[int, int]) -> set[int]:
    parents = {}
    for child in known:
        fields = read_text(root / "proc" / str(child) / "stat").rpartition(")")[2].split()
        if len(fields) > 1 and fields[1].isdecimal():
            parents[child] = int(fields[1])
    family = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in family} - family
        if not more:
            return family
        family |= more


def _boost(root: Path) -> bool | None:
    folder = root / "sys/devices/system/cpu"
    # Of acpi-cpufreq and amd-pstate; intel_pstate has a switch of its own, the other way round.
    boost = read_text(folder / "cpufreq/boost")
    if boost in {"0", "1"}:
        return boost == "1"
    off = read_text(folder / "intel_pstate/no_turbo")
    return off == "0" if off in {"0", "1"} else None


def _siblings(folders: Collection[Path], cores: Collection[int]) -> bool | None:
    known = False
    for folder in folders:
        text = read_text(folder / "topology/thread_siblings_list")
        if text:
            known = True
            with contextlib.suppress(ValueError):
                if len(expanded(text) & set(cores)) > 1:
                    return True
    return False if known else None


def _swap(root: Path) -> int | None:
    sizes = dict(
        re.findall(r"^(SwapTotal|SwapFree):\s+(\d+) kB$", read_text(root / "proc/meminfo"), re.M)
    )
    if len(sizes) != 2:
        return None
    return (int(sizes["SwapTotal"]) - int(sizes["SwapFree"])) * 1024
