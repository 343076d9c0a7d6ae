"""How a machine is set up and who else uses it, from recorded files and from this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_perfgate.machine.host_setup import Neighbours, Surroundings, surroundings

from tests.machine.kernel import process, put

CPU = "sys/devices/system/cpu"


def test_a_machine_with_everything_is_read(tmp_path: Path) -> None:
    """Governor, boost, siblings, quota, load and swap, each from its file."""
    put(tmp_path, "proc/cpuinfo", "processor : 0\nflags\t\t: fpu hypervisor avx\n")
    put(tmp_path, "proc/loadavg", "1.25 0.67 0.38 1/85 20390\n")
    put(tmp_path, "proc/meminfo", "MemTotal: 9 kB\nSwapTotal:  1000 kB\nSwapFree:  400 kB\n")
    put(tmp_path, "proc/self/cgroup", "0::/job\n")
    put(tmp_path, "sys/fs/cgroup/job/cpu.stat", "usage_usec 1\n")
    put(tmp_path, "sys/fs/cgroup/job/cpu.max", "150000 100000\n")
    put(tmp_path, f"{CPU}/cpufreq/boost", "1\n")
    for core, governor in ((0, "powersave"), (1, "performance"), (2, "ondemand")):
        put(tmp_path, f"{CPU}/cpu{core}/cpufreq/scaling_governor", governor)
        put(tmp_path, f"{CPU}/cpu{core}/topology/thread_siblings_list", "0-1\n")
    assert surroundings({0, 1}, tmp_path) == Surroundings(
        virtual=True,
        governor="performance, powersave",
        boost=True,
        siblings=True,
        quota=1.5,
        load=1.25,
        swap_used=600 * 1024,
    )
    assert surroundings({0}, tmp_path).siblings is False


def test_the_other_spellings_are_read(tmp_path: Path) -> None:
    """Intel's driver says the opposite of boost; version 1 of cgroups has two files."""
    put(tmp_path, f"{CPU}/intel_pstate/no_turbo", "1\n")
    put(tmp_path, "proc/self/cgroup", "3:cpu,cpuacct:/\n")
    folder = "sys/fs/cgroup/cpu,cpuacct"
    put(tmp_path, f"{folder}/cpu.stat", "nr_throttled 0\n")
    put(tmp_path, f"{folder}/cpu.cfs_quota_us", "50000\n")
    put(tmp_path, f"{folder}/cpu.cfs_period_us", "100000\n")
    result = surroundings({0}, tmp_path)
    assert (result.boost, result.quota) == (False, 0.5)
    put(tmp_path, f"{folder}/cpu.cfs_quota_us", "-1\n")
    assert surroundings({0}, tmp_path).quota is None


def test_a_machine_that_tells_nothing_raises_nothing(tmp_path: Path) -> None:
    """All of it is unknown."""
    assert surroundings({0}, tmp_path) == Surroundings()
    assert Neighbours(tmp_path).busiest(1.0) == ()


def test_the_busiest_come_first_and_the_own_family_is_left_out(tmp_path: Path) -> None:
    """Shares of a core; what this process started, and what hardly ran, is not named."""
    own = os.getpid()
    for pid in (own, 11, 12, 13, 14):
        process(tmp_path, pid, user=100, parent=own if pid == 14 else 1)
    observed = Neighbours(tmp_path)
    rate = os.sysconf("SC_CLK_TCK")
    for pid, share in ((own, 1.0), (11, 0.25), (12, 0.5), (13, 0.01), (14, 0.9), (15, 0.1)):
        ticks = (0 if pid == 15 else 100) + int(share * 10 * rate)
        process(tmp_path, pid, user=ticks, parent=own if pid == 14 else 1)
    result = observed.busiest(10.0)
    assert [(busy.pid, busy.share) for busy in result] == [(12, 0.5), (11, 0.25), (15, 0.1)]
    assert result[0].name == "a (strange) name"
    assert observed.busiest(0.0) == ()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the kernel has no /proc")
def test_a_busy_process_of_this_machine_is_named() -> None:
    """A loop that is nobody's child here is found by its pid."""
    code = (
        "import os, sys\nif os.fork(): os._exit(0)\nprint(os.getpid(), flush=True)\nwhile 1: pass"
    )
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    started.wait()
    try:
        observed = Neighbours()
        time.sleep(1.0)
        result = {busy.pid: busy for busy in observed.busiest(1.0)}
    finally:
        os.kill(pid, 9)
        started.stdout.close()
    assert result[pid].share > 0.1
    assert result[pid].name.startswith("python")


def test_this_machine_can_be_read() -> None:
    """Nothing raises, and what is told makes sense."""
    result = surroundings(os.sched_getaffinity(0))
    assert result.load is None or result.load >= 0
    assert result.quota is None or result.quota > 0
