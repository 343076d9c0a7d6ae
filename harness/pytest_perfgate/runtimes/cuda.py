"""NVIDIA's driver: whether it is here, which device a build is for, and graphs of a stream.

Nothing here opens a device before it is asked to; looking for one imports nothing of CUDA.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from pytest_perfgate.errors import MissingPackage, RuntimeFault
from pytest_perfgate.machine import nvml, visible_gpus
from pytest_perfgate.registry import Requirement

_DEVICES = ("dev/nvidia[0-9]*", "dev/dxg", "dev/nvhost-gpu", "dev/nvgpu")
"""Device files of a GPU: on Linux, under WSL, on Jetson boards (older and newer kernels)."""

_WSL_DRIVER = Path("/usr/lib/wsl/lib/libcuda.so.1")


class NvidiaGpu(Requirement):
    """A GPU that CUDA can use, with its driver. Found by files, without opening either."""

    @property
    def missing(self) -> bool:
        """Whether there is none, or it is hidden by CUDA_VISIBLE_DEVICES."""
        if self._hidden:
            return True
        root = Path("/")
        if not any(True for pattern in _DEVICES for _ in root.glob(pattern)):
            return True
        return ctypes.util.find_library("cuda") is None and not _WSL_DRIVER.exists()

    @property
    def reason(self) -> str:
        """What hides the GPUs, "" where nothing does."""
        if not self._hidden:
            return ""
        value = os.environ[visible_gpus.VISIBLE]
        return (
            f'{visible_gpus.VISIBLE}="{value}" hides every GPU: 0 are visible and 1 is needed; '
            f"unset {visible_gpus.VISIBLE}"
        )

    @property
    def _hidden(self) -> bool:
        return os.environ.get(visible_gpus.VISIBLE, "0").strip() in {"", "-1"}


GPU = NvidiaGpu(
    "an NVIDIA GPU with its driver (libcuda.so.1)",
    "nvidia-smi  # must list a GPU: use a machine that has one",
)
"""The requirement of everything that runs on a GPU."""


def device_key(index: int = 0) -> dict[str, Any] | None:
    """What a build for a GPU depends on: its name, compute capability and driver; None without
    one. Read through NVML, which opens no CUDA context; `index` is CUDA's, among those that are
    visible.

    Raises:
        MissingPackage: there is a GPU, and nothing that could tell which.
        RuntimeFault: NVML does not answer.
    """
    if GPU.missing:
        return None
    try:
        import pynvml
    except ImportError as error:
        raise MissingPackage(
            "the GPU cannot be identified: the package 'pynvml' is not installed",
            next_step="python -m pip install 'pytest-perfgate[gpu]'",
        ) from error
    try:
        pynvml.nvmlInit()
        try:
            if visible_gpus.VISIBLE in os.environ:  # NVML counts all of them
                shown = visible_gpus.uuids()
                if index >= len(shown):
                    raise RuntimeFault(
                        f"there is no GPU {index} among the {len(shown)} of {visible_gpus.VISIBLE}",
                        next_step="nvidia-smi -L",
                    )
                handle = pynvml.nvmlDeviceGetHandleByUUID(shown[index])
            else:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
            return {
                "gpu": str(pynvml.nvmlDeviceGetName(handle)),
                "compute_capability": f"{major}.{minor}",
                "driver": str(pynvml.nvmlSystemGetDriverVersion()),
            }
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise RuntimeFault(
            f"NVML does not identify this GPU: {error}", next_step="nvidia-smi"
        ) from error


def require_index(index: int) -> None:
    """Checks that a device of this number is visible; where NVML does not tell, nothing is checked.

    Raises:
        RuntimeFault: there are fewer.
    """
    count, problem = visible_gpus.count()
    if not problem and index >= count:
        raise _no_device(index, count)


def too_old(package: str, needed: str | None) -> str:
    """What is said of a driver that is older than a package's CUDA, such as "13.0", needs; "" where
    it is not, or NVML does not tell. Any driver of a major version runs all of its minor ones.
    """
    library, _ = nvml.connect()
    if library is None or needed is None:
        return ""
    try:
        number = library.call("SystemGetCudaDriverVersion_v2")
        driver = library.call("SystemGetDriverVersion")
    finally:
        library.close()
    if number is None or int(number) // 1000 >= int(needed.partition(".")[0]):
        return ""
    return (
        f"the driver {driver} supports CUDA {int(number) // 1000}.{int(number) % 1000 // 10}, and "
        f"{package} needs CUDA {needed}"
    )


def device_uuid(index: int = 0, *, driver: Any = None) -> str:
    """The UUID of the device that this process calls `index`, as NVML writes it. Opens the driver,
    and so belongs into the process that runs on it.

    Raises:
        RuntimeFault: the driver does not tell.
    """
    library = driver or ctypes.CDLL("libcuda.so.1")
    device, raw = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    for name, arguments in (
        ("cuInit", (0,)),
        ("cuDeviceGet", (ctypes.byref(device), index)),
        ("cuDeviceGetUuid_v2", (ctypes.byref(raw), device)),
    ):
        code = getattr(library, name)(*arguments)
        if code:
            raise RuntimeFault(
                f"the CUDA driver's {name} failed (CUresult {code})", next_step="nvidia-smi"
            )
    return f"GPU-{UUID(bytes=bytes(raw))}"


def open_device(driver: Any, index: int, stack: contextlib.ExitStack) -> Any:
    """The device of that number by `driver`, pycuda's; its primary context, in which CUDA's
    libraries work, is this thread's until `stack` is closed.

    Raises:
        RuntimeFault: there is no such device, or it does not open.
    """
    try:
        driver.init()
        count = driver.Device.count()
        if index >= count:
            raise _no_device(index, count)
        device = driver.Device(index)
        context = device.retain_primary_context()
        context.push()
    except driver.Error as error:
        raise RuntimeFault(
            f"the GPU {index} does not open: {error}", next_step="nvidia-smi"
        ) from error
    # Released when nothing refers to it any more, as in pycuda.autoprimaryctx.
    held = [context]
    stack.callback(held.clear)
    stack.callback(driver.Context.pop)
    return device


def _no_device(index: int, count: int) -> RuntimeFault:
    return RuntimeFault(
        f"there is no GPU {index}: {count} visible, {index + 1} needed",
        valid=f"0 to {count - 1}" if count else "a machine with a GPU",
        next_step="nvidia-smi -L",
    )


class Graph:
    """What was put on a stream once, to be replayed: a CUDA graph, by six functions of the driver.

    pycuda has no stream capture. The driver's API is C, and pycuda has loaded it already.
    """

    _THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

    def __init__(self, stream: int, work: Callable[[], None], *, driver: Any = None) -> None:
        """Captures `work`, which puts its work on `stream` (a CUstream) and waits for nothing.

        Raises:
            RuntimeFault: the work cannot be captured.
        """
        self._driver = driver or ctypes.CDLL("libcuda.so.1")
        self._stream = ctypes.c_void_p(stream)
        self._graph, self._ready = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, self._THREAD_LOCAL)
        try:
            work()
        finally:
            # A capture must be ended even when it failed: the stream takes nothing else before.
            self._call("cuStreamEndCapture", self._stream, ctypes.byref(self._graph))
        self._call(
            "cuGraphInstantiateWithFlags",
            ctypes.byref(self._ready),
            self._graph,
            ctypes.c_ulonglong(0),
        )

    def launch(self) -> None:
        """Puts the captured work on the stream."""
        self._call("cuGraphLaunch", self._ready, self._stream)

    def close(self) -> None:
        """Frees the graph."""
        self._call("cuGraphExecDestroy", self._ready)
        self._call("cuGraphDestroy", self._graph)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise RuntimeFault(
                f"the CUDA driver's {name} failed (CUresult {code})",
                next_step="set cuda_graph = false",
            )
