"""Which cores launches go round, and how many can be busy: from recorded /sys and /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.machine import host_share
from pytest_perfgate.machine.cores import isolated, kinds, measuring_places
from pytest_perfgate.machine.cpu_quota import busy_cores, quota
from pytest_perfgate.machine.host_share import Share

from tests.machine.kernel import put

CPU = "sys/devices/system/cpu"


def siblings(root: Path, *groups: str) -> None:
    """Records threads of physical cores, each group as the kernel lists it: "0,4"."""
    for group in groups:
        for number in group.split(","):
            put(root, f"{CPU}/cpu{number}/topology/thread_siblings_list", f"{group}\n")


@pytest.mark.parametrize(
    ("groups", "width", "places"),
    [
        (("0", "1", "2", "3"), 1, [(0,), (1,), (2,), (3,)]),
        (("0", "1", "2", "3"), 2, [(0, 1), (2, 3)]),
        (("0", "1", "2"), 2, [(0, 1)]),  # nothing is left for a launch that loads
        (("0,2", "1,3"), 1, [(0,), (1,)]),  # never 0 beside 2
        (("0,1", "2,3"), 1, [(0,), (2,)]),
        (("0,1", "2,3"), 2, [(0, 2)]),
        (("0,1",), 1, [(0,)]),  # a virtual machine of two threads: one after the other
        (("0,1", "2,3"), 3, [(0, 1, 2)]),  # too few physical cores: their threads too
        (("0,1",), 4, [(0, 1)]),
    ],
)
def test_launches_share_no_physical_core(
    tmp_path: Path, groups: tuple[str, ...], width: int, places: list[tuple[int, ...]]
) -> None:
    """The launch that loads ahead is on no thread of a core that is measured."""
    siblings(tmp_path, *groups)
    numbers = sorted(int(number) for group in groups for number in group.split(","))
    assert measuring_places(numbers, width, tmp_path) == places


def test_launches_stay_on_cores_of_one_kind(tmp_path: Path) -> None:
    """The fastest that has enough: Intel's counters name the kinds, ARM's capacities tell them."""
    intel, arm = tmp_path / "intel", tmp_path / "arm"
    siblings(intel, "0,1", "2,3")
    put(intel, "sys/devices/cpu_core/cpus", "0-3\n")
    put(intel, "sys/devices/cpu_atom/cpus", "4-7\n")
    assert kinds(range(8), intel) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert measuring_places(range(8), 1, intel) == [(0,), (2,)]
    assert measuring_places(range(8), 4, intel) == [(4, 5, 6, 7)]
    assert measuring_places(range(8), 6, intel) == [(0, 2, 4, 5, 6, 7)]
    assert measuring_places(range(4, 8), 1, intel) == [(4,), (5,), (6,), (7,)]  # --perf-cores
    for number, capacity in enumerate((446, 446, 446, 446, 1024, 1009)):
        put(arm, f"{CPU}/cpu{number}/cpu_capacity", f"{capacity}\n")
    assert kinds(range(6), arm) == [[4, 5], [0, 1, 2, 3]]
    assert measuring_places(range(6), 2, arm) == [(4, 5)]


@given(numbers=st.sets(st.integers(0, 300), min_size=1, max_size=40), width=st.integers(1, 12))
def test_places_share_nothing(numbers: set[int], width: int) -> None:
    """On every machine: disjoint, of usable cores, all of one width unless there are too few."""
    places = measuring_places(sorted(numbers), width, Path("/nowhere"))
    used = [core for place in places for core in place]
    assert len(used) == len(set(used))
    assert numbers.issuperset(used)
    assert {len(place) for place in places} == {min(width, len(numbers))}


@pytest.mark.parametrize(
    ("files", "limit", "busy"),
    [
        ({"cpu.max": "100000 100000\n"}, 1.0, 1),
        ({"cpu.max": "250000 100000\n"}, 2.5, 2),
        ({"cpu.max": "50000 100000\n"}, 0.5, 1),
        ({"cpu.max": "max 100000\n"}, None, 4),
        ({"cpu.max": "6400000 100000\n"}, 64.0, 4),
        ({"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n"}, 1.5, 1),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None, 4),
        ({}, None, 4),
    ],
)
def test_a_container_keeps_as_many_cores_busy_as_its_quota_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    limit: float | None,
    busy: int,
) -> None:
    """Whole cores of `cpu.max` (version 2) or of the two files of version 1, of four that it
    shows.
    """
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    first = any(name.startswith("cpu.cfs") for name in files)
    put(tmp_path, "proc/self/cgroup", "3:cpu,cpuacct:/\n" if first else "0::/\n")
    folder = "sys/fs/cgroup/cpu,cpuacct" if first else "sys/fs/cgroup"
    for name, text in {"cpu.stat": "nr_throttled 0\n", **files}.items():
        put(tmp_path, f"{folder}/{name}", text)
    assert quota(tmp_path) == limit
    assert busy_cores(tmp_path) == busy


@pytest.mark.parametrize(("text", "cores"), [("2-3,7\n", {2, 3, 7}), ("\n", set())])
def test_isolated_cores_are_read(tmp_path: Path, text: str, cores: set[int]) -> None:
    """As `isolcpus` has them; none is an empty line."""
    put(tmp_path, f"{CPU}/isolated", text)
    assert isolated(tmp_path) == cores


def test_isolated_cores_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process has them by default. One that the container may not use is still refused, and
    the affinity is afterwards what it was.
    """
    pinned: list[set[int]] = []

    def pin(_: int, cores: set[int]) -> None:
        if cores == {7}:
            raise OSError(22, "Invalid argument")
        pinned.append(set(cores))

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "sched_setaffinity", pin)
    monkeypatch.setattr(host_share, "isolated", lambda: frozenset({6, 7}))
    assert host_share.read("6", "none") == Share(((6,),))
    assert pinned == [{6}, {0, 1}]
    with pytest.raises(host_share.PerfgateError, match="may not run on core 7"):
        host_share.read("7", "none")
