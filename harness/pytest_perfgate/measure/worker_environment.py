"""What every worker runs with: its environment variables, its allocator, its cores."""

from __future__ import annotations

import os
import platform

_BUSY = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"

ALLOCATOR = (
    "glibc.malloc.hugetlb=1"
    ":glibc.malloc.mmap_threshold=17179869184"
    ":glibc.malloc.trim_threshold=17179869184"
    ":glibc.malloc.top_pad=67108864"
)
"""Large temporaries are neither mapped anew nor given back at every inference, which otherwise
moves a launch's level by up to a quarter (glibc manual, "Memory Allocation Tunables")."""


def allocator() -> str:
    """The allocator's settings in workers, "" where it has none that are known."""
    return ALLOCATOR if platform.libc_ver()[0] == "glibc" else ""


def worker_env(threads: int) -> dict[str, str]:
    """The environment variables that every worker gets: what they are moves measurements."""
    env = {name: str(threads) for name in _BUSY}
    env |= {
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
        "TOKENIZERS_PARALLELISM": "false",
        # torch then looks for a device through NVML: CUDA may start in the arms alone.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }
    if allocator():
        env["GLIBC_TUNABLES"] = allocator()
    return env
