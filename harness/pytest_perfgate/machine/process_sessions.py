"""The processes of a session (setsid(2)), such as a server with its workers, and their memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def processes_of_session(leader: int) -> Iterator[Path]:
    """The folders in /proc of the processes of a session; none where the kernel has no such
    folders, and when the session has ended.

    Args:
        leader: id of the process that began it.
    """
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # Behind the name, which may hold anything: state, parent, group, session.
            fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == leader:
                yield process


def peak_of_session(leader: int) -> int | None:
    """The sum of what was resident of each process at its peak (`VmHWM`), in bytes: pages that
    processes share count for each. None where the kernel does not tell, or it has ended.
    """
    return _sum(leader, "VmHWM")


def held_by_session(leader: int) -> int | None:
    """The sum of what is resident now and no file holds (`RssAnon`), in bytes. None where the
    kernel does not tell, or it has ended.
    """
    return _sum(leader, "RssAnon")


def _sum(leader: int, field: str) -> int | None:
    sizes = []
    for process in processes_of_session(leader):
        with contextlib.suppress(OSError):  # it ended meanwhile
            text = (process / "status").read_text(errors="replace")
            match = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
            if match:
                sizes.append(int(match[1]) * 1024)
    return sum(sizes) if sizes else None
