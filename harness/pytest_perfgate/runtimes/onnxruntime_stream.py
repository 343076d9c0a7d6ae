"""The stream of a GPU that ONNX Runtime works on, with the time and the memory of what it does.

ONNX Runtime tells neither: its Python module has no events, and no statistics of its arena.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

from pytest_perfgate import registry
from pytest_perfgate.runtimes import cuda

PYCUDA = registry.from_extra("pycuda", "gpu")
"""What opens the stream."""

OPTION = "user_compute_stream"
"""What the providers for CUDA and TensorRT call a stream that is handed to them."""

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, as the stream that the provider makes by itself


def problem(io_binding: bool | None) -> str:
    """Why a session on a GPU with this option has no such stream; "" where it has one."""
    if io_binding is False:
        return "with io_binding = false copies are part of the network's work: leave it out"
    if PYCUDA.missing:
        return f"the package {PYCUDA.module!r} is not installed: {PYCUDA.install}"
    return ""


class DeviceStream:
    """A stream in the device's primary context, in which ONNX Runtime works too.

    Attributes:
        handle: the CUstream, as a number.
    """

    def __init__(self, index: int) -> None:
        """Opens the device of that number, among those that are visible.

        Raises:
            RuntimeFault: there is none, or it does not open.
        """
        from pycuda import driver

        self._driver = driver
        self._open = contextlib.ExitStack()
        cuda.open_device(driver, index, self._open)
        self._stream = driver.Stream(_NON_BLOCKING)
        self._start, self._end = driver.Event(), driver.Event()
        self.handle = int(self._stream.handle)
        self._ran = False
        self._held = self._peak = 0

    def run(self, work: Callable[[], None]) -> None:
        """Does `work`, which puts its own on the stream, between two events, and waits for it."""
        self._start.record(self._stream)
        work()
        self._end.record(self._stream)
        self._stream.synchronize()
        self._ran = True

    def seconds(self) -> float:
        """Seconds of the last run on the device; NaN before the first."""
        return float(self._end.time_since(self._start)) / 1e3 if self._ran else math.nan

    @contextlib.contextmanager
    def growing(self) -> Iterator[None]:
        """Counts by how much the device's free memory falls meanwhile. Arms take turns, so that
        what falls is this one's.
        """
        before, _ = self._driver.mem_get_info()
        yield
        after, _ = self._driver.mem_get_info()
        self._held += before - after
        self._peak = max(self._peak, self._held)

    def peak(self) -> int:
        """The most that was counted, in bytes."""
        return self._peak

    def close(self) -> None:
        """Lets stream and device go; what works on the stream is closed before."""
        self._stream = self._start = self._end = None
        self._open.close()
