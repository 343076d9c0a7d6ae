"""Shares of a host: which cores and GPUs a session has for itself, and who holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_perfgate.errors import DeviceBusy, PerfgateError, RuntimeFault
from pytest_perfgate.machine import host_share, nvml, visible_gpus
from pytest_perfgate.machine.cores import physical
from pytest_perfgate.machine.fingerprint import gpus_of
from pytest_perfgate.machine.host_share import Gpu, Share
from pytest_perfgate.machine.locks import exclusive

from tests.machine.recorded import Host, uuid

FOUR = ("NVIDIA A10",) * 4


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Eight cores and four GPUs."""
    monkeypatch.setattr(nvml, "connect", lambda: (Host(*FOUR), ""))
    monkeypatch.setattr(host_share, "usable_cores", lambda: list(range(8)))
    monkeypatch.setattr(
        host_share, "physical", lambda numbers: [(number,) for number in sorted(numbers)]
    )
    monkeypatch.delenv(visible_gpus.VISIBLE, raising=False)
    return


@pytest.mark.parametrize(
    ("shown", "numbers"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("-1", []),
        ("2,0", [2, 0]),
        (f"{uuid(3)},1", [3, 1]),
        ("GPU-2", [2]),
        ("GPU-", []),  # several: no device
        ("1,9,0", [1]),  # nothing after what is none
        ("1,1,0", [1]),
    ],
)
def test_what_cuda_would_show_is_counted(shown: str | None, numbers: list[int]) -> None:
    """By the rules of CUDA_VISIBLE_DEVICES, which is read and not tried."""
    environ = {} if shown is None else {visible_gpus.VISIBLE: shown}
    result = [gpu.uuid for gpu in visible_gpus.visible(Host(*FOUR), environ)]
    assert result == [uuid(number) for number in numbers]


def test_numbers_of_unlike_gpus_are_not_guessed() -> None:
    """CUDA counts the fastest first, NVML by the bus; UUIDs are the same for both."""
    library = Host("NVIDIA A10", "NVIDIA L4")
    with pytest.raises(RuntimeFault, match="numbers GPUs of several models"):
        visible_gpus.visible(library, {visible_gpus.VISIBLE: "1"})
    in_order = {visible_gpus.VISIBLE: "1", visible_gpus.ORDER: "PCI_BUS_ID"}
    assert [gpu.uuid for gpu in visible_gpus.visible(library, in_order)] == [uuid(1)]
    assert [gpu.uuid for gpu in visible_gpus.visible(library, {visible_gpus.VISIBLE: uuid(1)})] == [
        uuid(1)
    ]


def test_without_nvml_no_gpu_is_counted() -> None:
    """And why is told."""
    assert visible_gpus.count({}) == (0, nvml.connect()[1])


@pytest.mark.usefixtures("host")
def test_a_share_is_what_the_options_name() -> None:
    """Cores come with all GPUs, GPUs with their part of the cores; nothing named is no share."""
    assert host_share.read("", "") is None
    both = host_share.read("0-2,5", "3,1")
    assert both is not None
    assert both.numbers == (0, 1, 2, 5)
    assert [gpu.uuid for gpu in both.gpus] == [uuid(1), uuid(3)]
    part = host_share.read("", uuid(3))
    assert part is not None
    assert part.numbers == (6, 7)
    bare = host_share.read("4", "none")
    assert bare == Share(((4,),))
    cores = host_share.read("4", "")
    assert cores is not None
    assert len(cores.gpus) == 4


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("cores", "named", "said"),
    [
        ("0-9", "", "may not run on core 8"),
        ("all", "", "not a list of cores"),
        ("3-1", "", "not a list of cores"),
        ("", "4", "'4' names no GPU"),
        ("", "0,0", "'0' names no GPU"),
        ("", "GPU-", "'GPU-' names no GPU"),
    ],
)
def test_what_is_not_there_is_refused(cores: str, named: str, said: str) -> None:
    """Before anything is measured."""
    with pytest.raises(PerfgateError, match=said):
        host_share.read(cores, named)


@pytest.mark.usefixtures("host")
def test_parts_are_equal_and_have_nothing_in_common() -> None:
    """A share for each worker; too many workers, or unlike GPUs, are refused."""
    every = host_share.whole()
    parts = [every.part(index, 3) for index in range(3)]
    assert [part.numbers for part in parts] == [(0, 1), (2, 3), (4, 5)]
    assert [[gpu.uuid for gpu in part.gpus] for part in parts] == [[uuid(n)] for n in range(3)]
    with pytest.raises(PerfgateError, match="4 GPUs for 5 workers"):
        every.part(0, 5)
    unlike = Share(every.cores, (Gpu("GPU-0", "NVIDIA A10"), Gpu("GPU-1", "NVIDIA L4")))
    with pytest.raises(PerfgateError, match=r"the GPUs differ \(NVIDIA A10, NVIDIA L4\)"):
        unlike.part(0, 2)
    assert Share(every.cores).part(1, 4).numbers == (2, 3)
    assert host_share.spread(every, 2, "gw3") == every.part(1, 2)
    assert host_share.spread(every, 2, "") is None
    for count, said in ((1, "this run has 1"), (5, "4 GPUs for 5 workers")):
        with pytest.raises(PerfgateError, match=said):
            host_share.spread(every, count, "")


def test_threads_of_a_core_stay_together(tmp_path: Path) -> None:
    """As the kernel tells them; a core that it does not tell of is one by itself."""
    for number, siblings in ((0, "0,2"), (2, "0,2"), (1, "1,3"), (3, "1,3")):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    assert physical([0, 1, 2, 3], tmp_path) == [(0, 2), (1, 3)]
    assert physical([2, 7], tmp_path) == [(2,), (7,)]


def test_a_session_keeps_to_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process and what it starts; afterwards all is as before."""
    monkeypatch.setenv(visible_gpus.VISIBLE, "0,1")
    before = os.sched_getaffinity(0)
    one = min(before)
    with host_share.kept(Share(((one,),), (Gpu(uuid(1), "NVIDIA A10"),))):
        assert os.sched_getaffinity(0) == {one}
        assert os.environ[visible_gpus.VISIBLE] == uuid(1)
        (observed,) = gpus_of(Host(*FOUR))
        assert observed.count == 1  # the same fingerprint on each of four
    assert os.sched_getaffinity(0) == before
    assert os.environ[visible_gpus.VISIBLE] == "0,1"


def test_who_has_other_cores_and_gpus_measures_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever would share one of them is refused, and so is a session of the whole host."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = Gpu("GPU-1", "A10"), Gpu("GPU-2", "A10")

    def hold(share: Share | None) -> None:
        with exclusive(share, 0.0, lambda _: None):
            pass

    with exclusive(Share(((0, 4), (1, 5)), (first,)), 0.0, lambda _: None):
        hold(Share(((2, 6),), (second,)))
        for share, said in (
            (Share(((1, 5), (2, 6))), "on core 1 of this machine"),
            (Share(((2, 6),), (second, first)), "on the GPU GPU-1 of this machine"),
            (None, f"process {os.getpid()} is measuring on this machine"),
        ):
            with pytest.raises(DeviceBusy, match=said):
                hold(share)
        hold(Share(((2, 6),), (second,)))  # nothing of what was refused is held on to
    with (
        exclusive(None, 0.0, lambda _: None),
        pytest.raises(DeviceBusy, match=f"process {os.getpid()} is measuring on this machine"),
    ):
        hold(Share(((2, 6),)))
    hold(None)
