"""The CPU time that this process may use: a container shows all cores, and stops who uses more."""

from __future__ import annotations

from pathlib import Path

from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.machine.cpu_sensors import group_folders, read_text


def quota(root: Path = Path("/")) -> float | None:
    """The tightest quota of this process's control group and those above it, in cores."""
    quotas = []
    for folder in group_folders(root):
        limit, _, period = read_text(folder / "cpu.max").partition(" ")
        if not limit:
            limit = read_text(folder / "cpu.cfs_quota_us")
            period = read_text(folder / "cpu.cfs_period_us")
        if limit.isdecimal() and period.isdecimal() and int(period):
            quotas.append(int(limit) / int(period))
    return min(quotas, default=None)


def busy_cores(root: Path = Path("/")) -> int:
    """How many cores this process and its children can keep busy: those of its affinity, and no
    more than whole cores of its quota; at least 1.
    """
    limit = quota(root)
    count = len(usable_cores())
    return max(1, count if limit is None else min(count, int(limit)))
