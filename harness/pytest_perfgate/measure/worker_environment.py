"""What every worker runs with: its environment variables, its allocator, its cores."""

from __future__ import annotations

import os
import platform
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

from pytest_perfgate.machine.instrumentation import preloaded

_BUSY = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    "OPENCV_FOR_THREADS_NUM",
)

ALLOCATOR = (
    "glibc.malloc.hugetlb=1"
    ":glibc.malloc.mmap_threshold=17179869184"
    ":glibc.malloc.trim_threshold=17179869184"
    ":glibc.malloc.top_pad=67108864"
)
"""Large temporaries are neither mapped anew nor given back at every inference, which otherwise
moves a launch's level by up to a quarter (glibc manual, "Memory Allocation Tunables")."""


_TRACERS = re.compile(
    # Starts coverage in every new process (pytest-cov before 7, coverage.py since).
    r"COV_CORE_\w+|COVERAGE_PROCESS_\w+|COVERAGE_RUN"
    # Debuggers that attach themselves to child processes.
    r"|PYDEVD_\w+|DEBUGPY_\w+"
    # Switches of the interpreter that make each allocation or each call slower (python(1)).
    r"|PYTHON(?:TRACEMALLOC|DEVMODE|ASYNCIODEBUG|MALLOC|MALLOCSTATS|PROFILEIMPORTTIME|DUMPREFS"
    r"|VERBOSE|DEBUG|INSPECT|PERFSUPPORT|_PERF_JIT_SUPPORT)"
    # Checks and traces of glibc's allocator and linker (mallopt(3), ld.so(8)).
    r"|MALLOC_(?:CHECK|PERTURB)_|MALLOC_TRACE|LD_(?:DEBUG|DEBUG_OUTPUT|PROFILE)"
)
"""Environment variables that no worker inherits: they slow down what is measured."""

_NO_TELEMETRY = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "NNCF_CI": "1",
    # openvino_telemetry has no switch; it is silent where it takes the process for one of CI.
    "TF_BUILD": "1",
}
"""What frameworks are told so that they send nothing about their use."""


def tunables() -> str:
    """The settings of the allocator in workers, "" where it has none that are known."""
    return ALLOCATOR if platform.libc_ver()[0] == "glibc" else ""


def allocator(environ: Mapping[str, str] = os.environ) -> str:
    """The allocator of workers, in words: its settings, and the libraries that are preloaded, which
    may take its place. Two sessions that differ in it are not measured alike.
    """
    return " ".join([*([tunables()] if tunables() else []), *preloaded(environ)])


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of this process that its workers inherit."""
    return {name: value for name, value in environ.items() if not _TRACERS.fullmatch(name)}


def worker_env(threads: int) -> dict[str, str]:
    """The environment variables that every worker gets besides: they move measurements."""
    env = {name: str(threads) for name in _BUSY} | _NO_TELEMETRY
    env |= {
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
        "TOKENIZERS_PARALLELISM": "false",
        # torch then looks for a device through NVML: CUDA may start in the arms alone.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }
    if tunables():
        env["GLIBC_TUNABLES"] = tunables()
    return env


def identity(home: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The name and the home of a user that has no entry in the passwd database, as users of
    containers often have none: frameworks ask for both where they keep what they compile
    (`getpass.getuser`, `Path.home`).
    """
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        named = any(environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME"))
        missing = {} if named else {"USER": f"uid-{os.getuid()}"}
        return missing if environ.get("HOME") else {**missing, "HOME": str(home)}
    return {}
