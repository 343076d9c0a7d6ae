"""The GPU's yardstick: its work done by torch on the cores, with a device's clock in its place."""

from __future__ import annotations

import builtins
import os
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import nvml, visible_gpus
from pytest_perfgate.runtimes import DEVICE_UUID
from pytest_perfgate.worker import arm as arms
from pytest_perfgate.worker import device_yardstick
from pytest_perfgate.worker.protocol import ArmSpec

from tests.machine.recorded import UUID, Host

torch = pytest.importorskip("torch")


class Event:
    """Of a device: 3 ms between two of them, once it has been waited for."""

    waited = False

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        """Takes the time."""
        Event.waited = False

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds."""
        assert end is not self
        assert Event.waited
        return 3.0


def synchronize() -> None:
    """Waits for the device."""
    Event.waited = True


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """torch.cuda of a machine with one GPU, whose memory is the host's."""
    monkeypatch.setattr(device_yardstick, "_SIDE", 32)
    monkeypatch.setattr(device_yardstick, "_COPIED", 1024)
    monkeypatch.setattr(nvml, "connect", lambda: (Host("NVIDIA A10"), ""))
    monkeypatch.delenv(visible_gpus.VISIBLE, raising=False)
    cuda = SimpleNamespace(
        Event=Event,
        synchronize=synchronize,
        is_available=lambda: True,
        current_device=lambda: 0,
        get_device_properties=lambda _: SimpleNamespace(uuid=UUID.removeprefix("GPU-")),
    )
    monkeypatch.setattr(torch, "cuda", cuda)
    monkeypatch.setattr(torch, "device", lambda *_: "cpu")
    return cuda


def test_it_multiplies_and_copies_and_tells_both_times(gpu: SimpleNamespace) -> None:
    """Host seconds around the waiting, device seconds between the events; the sample of the arm
    has them in the columns of an inference.
    """
    assert gpu.is_available()
    work = device_yardstick.on_gpu(UUID)
    host, device = work.run()
    assert device == pytest.approx(0.003)
    assert 0 < host < 1
    assert torch.equal(work._target, torch.ones(1024, dtype=torch.uint8))
    assert work._product[3, 5] == pytest.approx(0.5)
    visit = arms._visit(ArmSpec("yardstick", "python", gpu=UUID), [])
    assert visit.facts == {DEVICE_UUID: UUID}  # sensors watch it as they watch the recipes
    before, inference, after, on_device = visit.sample(0)
    assert (before, after, on_device) == (0.0, 0.0, pytest.approx(0.003))
    assert inference > 0


def test_of_several_gpus_it_opens_that_of_the_recipes(
    gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before CUDA is opened; a process that is elsewhere all the same measures nothing."""
    monkeypatch.setattr(nvml, "connect", lambda: (Host("NVIDIA A10", "NVIDIA A10"), ""))
    monkeypatch.setenv(visible_gpus.VISIBLE, "0,1")
    device_yardstick.on_gpu(UUID.removeprefix("GPU-"))
    assert os.environ[visible_gpus.VISIBLE] == UUID
    gpu.get_device_properties = lambda _: SimpleNamespace(uuid="another")
    with pytest.raises(RuntimeFault, match="and this process on another"):
        device_yardstick.on_gpu(UUID)


@pytest.mark.parametrize("installed", [True, False])
def test_without_a_torch_that_sees_the_gpu_it_says_what_to_install(
    gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """Times on the GPU are then compared absolutely; the recipes are measured all the same."""
    gpu.is_available = lambda: False
    importing = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name == "torch" and not installed:
            raise ImportError(name)
        return importing(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    word = "sees no GPU" if installed else "torch is not installed"
    with pytest.raises(RuntimeFault, match=word) as caught:
        device_yardstick.on_gpu(UUID)
    assert "pytest-perfgate[gpu]" in str(caught.value.next_step)
