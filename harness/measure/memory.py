"""Resident memory of this process, from the kernel."""

from __future__ import annotations

import re
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def resident() -> int | None:
    """Bytes resident now (`VmRSS`), None where the kernel does not tell."""
    return _field("VmRSS")


def peak() -> int | None:
    """Highest bytes resident since `reset_peak` (`VmHWM`), None where the kernel does not tell."""
    return _field("VmHWM")


def reset_peak() -> None:
    """Sets the high-water mark to what is resident now (proc(5), clear_refs value 5)."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return


def _field(name: str) -> int | None:
    try:
        text = _STATUS.read_text()
    except OSError:
        return None
    match = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None
