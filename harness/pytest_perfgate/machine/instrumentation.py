"""What slows this process down and is no part of what it measures: tracers, profilers, debuggers.

Environment variables that start them are not inherited by workers. What starts in another way
(a `sitecustomize`, the suite's own code, a preloaded library) can only be named.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TOOLS = 6  # identifiers of sys.monitoring (PEP 669)
_PRELOADED = ("LD_PRELOAD", "LD_AUDIT")


def instruments(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """All that is at work in this process now, each in words."""
    return (*_in_python(), *_outside(root), *preloaded(environ))


def preloaded(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The libraries that the linker loads before all others, by variable and name."""
    return tuple(
        f"{variable}={Path(library).name}"
        for variable in _PRELOADED
        for library in re.split(r"[\s:]+", environ.get(variable, "").strip())
        if library
    )


def _in_python() -> tuple[str, ...]:
    names = []
    for hook, function in (("sys.settrace", sys.gettrace()), ("sys.setprofile", sys.getprofile())):
        if function is not None:
            names.append(f"{_origin(function)} ({hook})")
    monitoring: Any = getattr(sys, "monitoring", None)  # from Python 3.12 on
    for number in range(_TOOLS if monitoring else 0):
        if tool := monitoring.get_tool(number):
            names.append(f"{tool} (sys.monitoring)")
    tracemalloc = sys.modules.get("tracemalloc")
    if tracemalloc is not None and tracemalloc.is_tracing():
        names.append("tracemalloc")
    if sys.flags.dev_mode:
        names.append("Python's development mode")
    if hasattr(sys, "gettotalrefcount"):
        names.append("a debug build of Python")
    return tuple(names)


def _origin(function: Any) -> str:
    """Whose a hook is: the distribution's top-level module, as far as it tells."""
    module = getattr(function, "__module__", None) or type(function).__module__
    return str(module).partition(".")[0]


def _outside(root: Path) -> tuple[str, ...]:
    """A process that traces this one: a debugger, strace."""
    try:
        status = (root / "proc/self/status").read_text()
    except OSError:
        return ()
    match = re.search(r"^TracerPid:\s*([1-9]\d*)$", status, re.MULTILINE)
    if match is None:
        return ()
    try:
        name = (root / "proc" / match[1] / "comm").read_text().strip()
    except OSError:
        name = "unknown"
    return (f"process {match[1]} ({name}), which traces it",)
