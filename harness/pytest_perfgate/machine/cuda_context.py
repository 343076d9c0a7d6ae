"""Whether this process has opened CUDA: only one that has not may fork arms that do."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from pytest_perfgate.errors import RuntimeFault

_OPENED = Path("/proc/self/fd")

_CUDA_FILE = "/dev/nvidia-uvm"  # CUDA opens it when it starts; NVML does not


def refuse_opened(fds: Path = _OPENED) -> None:
    """Check that this process has not opened CUDA: only then may it fork arms that do.

    A CUDA context does not survive a fork: behaviour of the child is undefined (CUDA C++
    Programming Guide, "Initialization").

    Raises:
        RuntimeFault: it has opened CUDA.
    """
    signs = []
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        signs.append("torch.cuda.is_initialized() is true")
    # Torch knows of its own contexts alone; the open device file shows those of any library.
    links: list[Path] = []
    with contextlib.suppress(OSError):  # no /proc: there is torch's own word
        links = list(fds.iterdir())
    for link in links:
        with contextlib.suppress(OSError):  # closed in between
            if str(link.readlink()).startswith(_CUDA_FILE):
                signs.append(f"{_CUDA_FILE} is open")
                break
    if signs:
        raise RuntimeFault(
            "this process opened CUDA before it forked the arms: " + ", ".join(signs),
            next_step="take modules whose import opens the device out of the runtime's `preload`",
        )
