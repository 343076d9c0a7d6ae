"""What the kernel tells of an interval, from recorded files and from this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_perfgate.machine import cpu_sensors
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.cpu_sensors import Sensors, group_folders

from tests.machine import kernel
from tests.machine.kernel import process, put

TICK = 1 / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(cpu_sensors.time, "monotonic", lambda: now[0])
    return now


def test_shares_of_a_core_are_told_from_its_ticks(tmp_path: Path, clock: list[float]) -> None:
    """Of 200 ticks of core 0: 10 stolen, 190 busy, of which 120 are the launch's own."""
    put(tmp_path, "proc/stat", kernel.STAT.format(1000, 20))
    process(tmp_path, "self", user=50)
    process(tmp_path, 7, user=400, faults=3)
    observed = Sensors([0], [7], root=tmp_path)
    put(tmp_path, "proc/stat", kernel.STAT.format(1190, 30))
    process(tmp_path, "self", user=60)
    process(tmp_path, 7, user=500, system=10, faults=8)
    clock[0] += 2.0
    result = observed.stop(3)
    assert (result.index, result.cores, result.seconds) == (3, (0,), 2.0)
    assert result.stolen == pytest.approx(10 / 200)
    assert result.others == pytest.approx(70 / 200)
    assert result.major_faults == 5


def test_an_arm_that_died_is_counted_through_its_parent(tmp_path: Path, clock: list[float]) -> None:
    """Its ticks are among the parent's children's by then, so they are not those of others."""
    put(tmp_path, "proc/stat", kernel.STAT.format(1000, 20))
    process(tmp_path, "self", user=50)
    process(tmp_path, 7, user=400)
    observed = Sensors([0], [7], orderly=True, root=tmp_path)
    put(tmp_path, "proc/stat", kernel.STAT.format(1200, 20))
    text = kernel.PROCESS.format(pid=1, parent=1, faults=0, user=50, system=0)
    put(tmp_path, "proc/self/stat", text.replace(" 50 0 0 0 ", " 50 0 600 0 "))
    for file in (tmp_path / "proc/7").iterdir():
        file.unlink()
    clock[0] += 2.0
    result = observed.stop(0)
    assert result.others == 0.0


def test_an_interval_too_short_for_ticks_has_no_shares(tmp_path: Path) -> None:
    """A tenth of a second is ten ticks: not measured, rather than a tenth wrong."""
    put(tmp_path, "proc/stat", kernel.STAT.format(1000, 20))
    process(tmp_path, "self", user=50)
    observed = Sensors([0], [], root=tmp_path)
    put(tmp_path, "proc/stat", kernel.STAT.format(1009, 21))
    result = observed.stop(0)
    assert (result.stolen, result.others) == (None, None)


@pytest.mark.parametrize(("orderly", "share"), [(True, 0.25), (False, None)])
def test_waiting_is_told_only_of_processes_that_hand_over_in_order(
    tmp_path: Path, clock: list[float], orderly: bool, share: float | None
) -> None:
    """Half a second of two, and nothing where they interrupt each other."""
    process(tmp_path, "self", user=0, waited=0)
    process(tmp_path, 7, user=0, waited=10**9)
    observed = Sensors([], [7], orderly=orderly, root=tmp_path)
    process(tmp_path, "self", user=0, waited=10**8)
    process(tmp_path, 7, user=0, waited=14 * 10**8)
    clock[0] += 2.0
    assert observed.stop(0).waited == share


def test_counters_are_differences(tmp_path: Path, clock: list[float]) -> None:
    """Swapping, heat, pressure: what came in between, not what was there before."""
    throttle = "sys/devices/system/cpu/cpu{}/thermal_throttle/{}_throttle_count"
    for core in (0, 1):
        put(tmp_path, throttle.format(core, "core"), "5\n")
    put(tmp_path, throttle.format(0, "package"), "7\n")
    put(tmp_path, "proc/vmstat", kernel.VMSTAT.format(100, 200))
    put(tmp_path, "proc/pressure/cpu", kernel.PRESSURE.format(1_000_000))
    put(tmp_path, "proc/pressure/memory", kernel.PRESSURE.format(5))
    observed = Sensors([0], [], root=tmp_path)
    put(tmp_path, throttle.format(0, "core"), "6\n")
    put(tmp_path, throttle.format(0, "package"), "9\n")
    put(tmp_path, throttle.format(1, "core"), "50\n")  # not a core of this launch
    put(tmp_path, "proc/vmstat", kernel.VMSTAT.format(103, 264))
    put(tmp_path, "proc/pressure/cpu", kernel.PRESSURE.format(1_500_000))
    clock[0] += 2.0
    result = observed.stop(0)
    assert result.throttle_events == 3
    assert (result.swapped_in, result.swapped_out) == (3, 64)
    assert (result.cpu_pressure, result.memory_pressure) == (0.25, 0.0)


def test_frequencies_are_those_of_every_look(tmp_path: Path) -> None:
    """The lowest and the mean, in Hz, of the launch's cores."""
    name = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    put(tmp_path, name.format(0), "3000000\n")
    put(tmp_path, name.format(1), "1000000\n")
    observed = Sensors([0], [], root=tmp_path)
    put(tmp_path, name.format(0), "2000000\n")
    observed.look()
    put(tmp_path, name.format(0), "4000000\n")
    result = observed.stop(0)
    assert result.frequency_lowest == 2e9
    assert result.frequency_mean == 3e9
    assert Sensors([], [], root=tmp_path).stop(0).frequency_mean == 2.5e9


@pytest.mark.parametrize(
    ("groups", "folder", "text", "unit"),
    [
        ("0::/runner/job\n", "sys/fs/cgroup/runner/job", kernel.VERSION_2, 10**6),
        ("4:cpu,cpuacct:/a\n0::/\n", "sys/fs/cgroup/cpu,cpuacct/a", kernel.VERSION_1, 10**9),
        ("2:cpuacct:/b\n1:cpu:/b\n", "sys/fs/cgroup/cpu/b", kernel.VERSION_1, 10**9),
        ("0::/not/mounted/here\n", "sys/fs/cgroup", kernel.VERSION_2, 10**6),
        ("0::/../../up\n", "sys/fs/cgroup/up", kernel.VERSION_2, 10**6),
    ],
)
def test_the_quota_of_the_own_group_is_found_in_both_versions(
    tmp_path: Path, clock: list[float], groups: str, folder: str, text: str, unit: int
) -> None:
    """Stops, and the share of the time that they took."""
    put(tmp_path, "proc/self/cgroup", groups)
    put(tmp_path, f"{folder}/cpu.stat", text.format(2, unit))
    observed = Sensors([], [], root=tmp_path)
    put(tmp_path, f"{folder}/cpu.stat", text.format(6, unit + unit // 2))
    clock[0] += 2.0
    result = observed.stop(0)
    assert (result.quota_stops, result.quota_stopped) == (4, 0.25)


def test_quotas_of_the_groups_above_count_too(tmp_path: Path, clock: list[float]) -> None:
    """What stops the parent stops the child; a group that counts nothing is left out."""
    put(tmp_path, "proc/self/cgroup", "0::/runner/job\n")
    put(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 9\n")
    for folder in ("runner", "runner/job"):
        put(tmp_path, f"sys/fs/cgroup/{folder}/cpu.stat", kernel.VERSION_2.format(0, 0))
    observed = Sensors([], [], root=tmp_path)
    put(tmp_path, "sys/fs/cgroup/runner/cpu.stat", kernel.VERSION_2.format(1, 10**6))
    clock[0] += 2.0
    assert observed.stop(0).quota_stopped == 0.5


def test_what_is_not_there_is_not_measured(tmp_path: Path) -> None:
    """On a machine without any of these files all is None, and nothing raises."""
    result = Sensors([0], [1], orderly=True, root=tmp_path).stop(5)
    assert result == Conditions(index=5, cores=(0,), seconds=result.seconds)


FILES = (
    "proc/stat",
    "proc/self/stat",
    "proc/self/schedstat",
    "proc/vmstat",
    "proc/self/cgroup",
    "proc/pressure/cpu",
    "proc/pressure/memory",
    "sys/fs/cgroup/cpu.stat",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
)
words = st.lists(
    st.sampled_from(
        [
            "cpu0",
            "cpu",
            ")",
            "(",
            "1",
            "-7",
            "99999999999999",
            "some",
            "total=",
            "total=3",
            "a=b",
            "pswpin",
            "pswpout",
            "nr_throttled",
            "throttled_usec",
            "0::/",
            "\n",
            "²",
            "nan",
            "1e9",
        ]
    ),
    max_size=30,
).map(" ".join)


@given(before=st.tuples(*[words] * len(FILES)), after=st.tuples(*[words] * len(FILES)))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_that_a_file_can_say_raises(
    tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """Whatever stands in the files, what comes out is plain data with shares of 0 to 1."""
    for name, text in zip(FILES, before, strict=True):
        put(tmp_path, name, text)
    observed = Sensors([0], [], orderly=True, root=tmp_path)
    for name, text in zip(FILES, after, strict=True):
        put(tmp_path, name, text)
    result = observed.stop(0)
    for share in (result.stolen, result.others, result.waited, result.quota_stopped):
        assert share is None or 0.0 <= share <= 1.0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the kernel has no /proc/stat")
def test_another_process_on_the_core_is_seen_on_this_machine() -> None:
    """Two that share one core: about half of it is used by the other."""
    ours = os.sched_getaffinity(0)
    core = min(ours)
    code = f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"
    os.sched_setaffinity(0, [core])
    other = subprocess.Popen([sys.executable, "-c", code])
    try:
        time.sleep(0.3)
        observed = Sensors([core], [])
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            pass
        result = observed.stop(0)
    finally:
        other.kill()
        other.wait()
        os.sched_setaffinity(0, ours)
    assert result.others is not None
    assert result.others > 0.25


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the kernel has no /proc/stat")
def test_the_own_work_is_not_that_of_others() -> None:
    """A child that is alive, forked before as arms are, is the launch's own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.set_blocking(reader, False)
        while True:
            try:
                if os.read(reader, 1) == b"":
                    os._exit(0)
            except BlockingIOError:
                continue
    observed = Sensors([], [child])
    apart = Sensors([], [])
    time.sleep(1.2)
    with_child, without = observed.stop(0), apart.stop(0)
    os.close(writer)
    os.close(reader)
    os.waitpid(child, 0)
    assert with_child.others is not None
    assert without.others is not None
    assert with_child.others < without.others


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the kernel has no /proc/stat")
def test_reading_costs_little() -> None:
    """A begin and an end take less than 30 ms on a busy machine, about 2 ms on an idle one."""
    costs = []
    for _ in range(5):
        start = time.perf_counter()
        Sensors([0], [os.getpid()], orderly=True).stop(0)
        costs.append(time.perf_counter() - start)
    assert min(costs) < 0.03


def test_the_own_groups_have_files_on_this_machine() -> None:
    """Every folder that is named can be read."""
    for folder in group_folders():
        assert (folder / "cpu.stat").is_file()
