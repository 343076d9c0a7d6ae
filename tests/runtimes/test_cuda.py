"""Whether a GPU is here, which one, and graphs of a stream: found and said without opening it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pytest_perfgate import registry
from pytest_perfgate.errors import MissingPackage, RuntimeFault
from pytest_perfgate.runtimes import cuda

from tests.machine.recorded import Host, Recorded, uuid
from tests.runtimes.fake_gpu import LibCuda


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root folder whose device files are the test's, with a driver installed."""
    monkeypatch.setattr(cuda, "Path", lambda *_: tmp_path)
    monkeypatch.setattr(cuda.ctypes.util, "find_library", lambda _: "libcuda.so.1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "dev").mkdir()
    return tmp_path / "dev"


@pytest.mark.parametrize("name", ["nvidia0", "nvidia12", "dxg", "nvhost-gpu"])
def test_a_device_file_and_a_driver_are_a_gpu(devices: Path, name: str) -> None:
    """On a server, under WSL, on a Jetson board."""
    assert cuda.GPU.missing
    (devices / "nvidiactl").touch()
    assert cuda.GPU.missing
    (devices / name).touch()
    assert not cuda.GPU.missing


def test_a_gpu_without_its_driver_or_hidden_is_none(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing could run there."""
    (devices / "nvidia0").touch()
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert cuda.GPU.missing
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert not cuda.GPU.missing
    monkeypatch.setattr(cuda.ctypes.util, "find_library", lambda _: None)
    monkeypatch.setattr(cuda, "_WSL_DRIVER", devices / "libcuda.so.1")
    assert cuda.GPU.missing


def nvml(**changes: Any) -> ModuleType:
    """The calls of pynvml that tell a GPU from another."""
    result: Any = ModuleType("pynvml")
    result.NVMLError = type("NVMLError", (Exception,), {})
    result.nvmlInit = result.nvmlShutdown = lambda: None
    result.nvmlDeviceGetHandleByIndex = lambda index: index
    result.nvmlDeviceGetCudaComputeCapability = lambda _: (8, 9)
    result.nvmlDeviceGetName = lambda _: "Imaginary GPU"
    result.nvmlSystemGetDriverVersion = lambda: "580.1"
    for name, value in changes.items():
        setattr(result, name, value)
    return result  # type: ignore[no-any-return] # a module is anything


def test_a_build_for_a_gpu_is_told_by_name_capability_and_driver(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU there is nothing to tell; with one that cannot be told, nothing is built."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert cuda.device_key() is None
    (devices / "nvidia0").touch()
    assert cuda.device_key() == {
        "gpu": "Imaginary GPU",
        "compute_capability": "8.9",
        "driver": "580.1",
    }
    broken = nvml()

    def lost(_: Any) -> Any:
        raise broken.NVMLError("GPU is lost")

    broken.nvmlDeviceGetName = lost  # type: ignore[attr-defined] # of a module that is made here
    monkeypatch.setitem(sys.modules, "pynvml", broken)
    with pytest.raises(RuntimeFault, match="GPU is lost"):
        cuda.device_key()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingPackage, match="pynvml"):
        cuda.device_key()


def test_a_build_is_for_the_gpu_that_is_visible(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVML counts those that are hidden, too."""
    (devices / "nvidia0").touch()
    library = Host("NVIDIA A10", "NVIDIA L4")
    monkeypatch.setattr("pytest_perfgate.machine.nvml.connect", lambda: (library, ""))
    names = {uuid(0): "NVIDIA A10", uuid(1): "NVIDIA L4"}
    reported = nvml(nvmlDeviceGetHandleByUUID=lambda name: name, nvmlDeviceGetName=names.get)
    monkeypatch.setitem(sys.modules, "pynvml", reported)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", uuid(1))
    assert (cuda.device_key() or {})["gpu"] == "NVIDIA L4"
    with pytest.raises(RuntimeFault, match="no GPU 1 among the 1"):
        cuda.device_key(1)


@pytest.mark.parametrize(
    "name", ["cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags", "cuGraphLaunch"]
)
def test_a_function_of_the_driver_that_fails_is_named(name: str) -> None:
    """With its code, and how to go on without graphs."""
    with pytest.raises(RuntimeFault, match=rf"{name} failed \(CUresult 901\)") as caught:
        cuda.Graph(7, lambda: None, driver=LibCuda(broken=name)).launch()
    assert "cuda_graph = false" in caught.value.next_step


def test_a_capture_is_ended_when_the_work_fails() -> None:
    """Else the stream would take nothing else."""

    def fails() -> None:
        raise ValueError("not to be captured")

    with pytest.raises(ValueError, match="not to be captured"):
        cuda.Graph(7, fails, driver=LibCuda())
    assert LibCuda.capturing is None


def test_a_device_is_told_by_its_uuid_as_nvml_writes_it() -> None:
    """So that its sensors are found; a driver that does not tell is a fault that names the call."""
    assert cuda.device_uuid(1, driver=LibCuda()) == "GPU-29ababab-abab-abab-abab-abababababab"
    with pytest.raises(RuntimeFault, match=r"cuDeviceGetUuid_v2 failed \(CUresult 901\)"):
        cuda.device_uuid(driver=LibCuda(broken="cuDeviceGetUuid_v2"))


@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_gpus_are_said_in_one_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """What hides them, how many are visible and needed, and how to show them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert registry.lacks([cuda.GPU]) == (
        f'CUDA_VISIBLE_DEVICES="{value}" hides every GPU: 0 are visible and 1 is needed; '
        "unset CUDA_VISIBLE_DEVICES"
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert registry.lacks([cuda.GPU]).startswith("not installed: an NVIDIA GPU")


def test_a_device_that_does_not_exist_is_named_with_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The number asked for, how many there are, and the command that lists them."""
    library = Host("NVIDIA A10", "NVIDIA A10")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("pytest_perfgate.machine.nvml.connect", lambda: (library, ""))
    cuda.require_index(1)
    with pytest.raises(RuntimeFault, match="no GPU 2: 2 visible, 3 needed") as caught:
        cuda.require_index(2)
    assert (caught.value.valid, caught.value.next_step) == ("0 to 1", "nvidia-smi -L")
    monkeypatch.setattr("pytest_perfgate.machine.nvml.connect", lambda: (None, "no driver"))
    cuda.require_index(7)  # not known: the runtime's own error comes


@pytest.mark.parametrize(
    ("driver", "needed", "old"),
    [(12040, "13.0", True), (12040, "12.8", False), (13000, "13.2", False), (None, "13.0", False)],
)
def test_a_driver_older_than_the_runtime_needs_is_said_with_both_versions(
    monkeypatch: pytest.MonkeyPatch, driver: int | None, needed: str, old: bool
) -> None:
    """Minor versions of CUDA run on every driver of their major one."""
    library = Recorded(SystemGetCudaDriverVersion_v2=driver)
    monkeypatch.setattr("pytest_perfgate.machine.nvml.connect", lambda: (library, ""))
    line = cuda.too_old("torch 2.11", needed)
    assert line == (
        "the driver 550.90.07 supports CUDA 12.4, and torch 2.11 needs CUDA 13.0" if old else ""
    )
