"""The yardstick of a GPU: fixed work that a launch measures on the device of its recipes.

The cores' yardstick knows nothing of a device's clocks. This one is a product of matrices, which
follows the SM clock, and a copy within the device, which follows the memory's; it uses torch's
library calls and nothing of the project.
"""

from __future__ import annotations

import os
import time
from typing import Any

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import nvml, visible_gpus

_SIDE = 2048  # of the matrices: 17 Gflop a product
_COPIED = 128 << 20  # bytes: more than any L2 cache holds
_REPEATS = 4


class DeviceYardstick:
    """The fixed work, ready to run; about 2 ms on a GPU of a data center, 10 ms on a small one.

    Args:
        torch: the module.
        cuda: `torch.cuda`; events and waiting are its.
        device: where the work is done.
    """

    def __init__(self, torch: Any, cuda: Any, device: Any) -> None:
        self._torch = torch
        self._cuda = cuda
        self._left = torch.full((_SIDE, _SIDE), 0.5, device=device)
        self._right = torch.full((_SIDE, _SIDE), 1.0 / _SIDE, device=device)
        self._product = torch.empty_like(self._left)
        self._source = torch.ones(_COPIED, dtype=torch.uint8, device=device)
        self._target = torch.empty_like(self._source)
        self._begin, self._end = (cuda.Event(enable_timing=True) for _ in range(2))

    def run(self) -> tuple[float, float]:
        """Does the work once: seconds that the host waited, and seconds on the device."""
        start = time.perf_counter()
        self._begin.record()
        for _ in range(_REPEATS):
            self._torch.matmul(self._left, self._right, out=self._product)
            self._target.copy_(self._source)
        self._end.record()
        self._cuda.synchronize()
        host = time.perf_counter() - start
        return host, self._begin.elapsed_time(self._end) / 1e3


def on_gpu(uuid: str) -> DeviceYardstick:
    """The work on the GPU of this UUID, opened in this process, which has opened none.

    Raises:
        RuntimeFault: there is no torch that can, or the device is not that one.
    """
    if visible_gpus.count()[0] != 1:
        # Before CUDA is opened: it then shows this device only.
        os.environ[visible_gpus.VISIBLE] = uuid if "-" in uuid[:4] else f"GPU-{uuid}"
    try:
        import torch
    except ImportError:
        raise _lacking("torch is not installed") from None
    cuda: Any = torch.cuda  # of which torch has few types
    if not cuda.is_available():
        raise _lacking(f"torch {torch.__version__} sees no GPU")
    device = torch.device("cuda", cuda.current_device())
    actual = str(getattr(cuda.get_device_properties(device), "uuid", ""))
    if actual and not nvml.same(actual, uuid):
        raise RuntimeFault(f"the recipes run on {uuid}, and this process on {actual}")
    torch.backends.cuda.matmul.allow_tf32 = False  # the same arithmetic whatever the default is
    return DeviceYardstick(torch, cuda, device)


def _lacking(why: str) -> RuntimeFault:
    return RuntimeFault(
        f"the yardstick of the device needs a torch with CUDA: {why}",
        next_step="python -m pip install 'pytest-perfgate[gpu]'",
    )
