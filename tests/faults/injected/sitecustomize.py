"""Loaded by every Python process of a session (PYTHONPATH): notes each place that writes a file,
starts a process, or sends or receives a message, and fails one of them, once.

FAULTS_LOG is the file that gets a line per place; FAULTS_PLACE is the place that fails, FAULTS_MODE
how ("error", "kill" or, of a file that is opened, "half": the kernel takes its first bytes and no
more), and FAULTS_ONCE a file that is made by the first to fail.
"""

from __future__ import annotations

import atexit
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_OWN = f"{os.sep}pytest_perfgate{os.sep}"
_SHARED = ("files.py", "machine/pipes.py")
"""Functions that every place calls: a place is where they are called from."""

_HALF = 16
"""Bytes that a file gets that fails halfway: fewer than any that is written holds."""

ERRORS = {
    "open": errno.ENOSPC,
    "rename": errno.ENOSPC,
    "mkdir": errno.EACCES,
    "sync": errno.EIO,
    "send": errno.EIO,
    "receive": errno.EIO,
    "start": errno.EAGAIN,
}


class Faults:
    """The places of this process."""

    def __init__(self, log: str) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._noted: set[str] = set()
        self._place = os.environ.get("FAULTS_PLACE", "")
        self._mode = os.environ.get("FAULTS_MODE", "")
        self._once = os.environ.get("FAULTS_ONCE", "")
        self._busy = False
        self._cut: tuple[Path, int] | None = None  # file that is cut, limit of before
        self._write, self._read, self._sync = os.write, os.read, os.fsync
        modules = " ".join(sys.orig_argv)
        self._role = "pytest"
        if "pytest_perfgate.worker" in modules:
            self._role = "worker"
        elif "pytest_perfgate.report.publish" in modules:
            self._role = "drawing"

    def install(self) -> None:
        """From now on."""
        sys.addaudithook(self._hear)
        atexit.register(self._grow)
        os.write = self._messages("send", self._write)
        os.read = self._messages("receive", self._read)
        os.fsync = self._synced

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not isinstance(flags, int) or not flags & _WRITES:
                return
            name = os.fsdecode(path)
            if name.startswith(("/dev/", "/proc/")) or "__pycache__" in name:
                return
            self._pass("open", name)
        elif event == "os.rename":
            if "__pycache__" not in str(arguments[0]):
                self._pass("rename")
        elif event == "os.mkdir":
            if "__pycache__" not in str(arguments[0]):
                self._pass("mkdir")
        elif event == "subprocess.Popen":
            self._pass("start")

    def _messages(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if _OWN in sys._getframe(1).f_code.co_filename:
                self._pass(kind)
            return function(*arguments)

        return call

    def _synced(self, fd: int) -> None:
        self._pass("sync")
        self._sync(fd)

    def _pass(self, kind: str, name: str = "") -> None:
        """Notes the place that is passed; fails where it is the one."""
        if self._busy:
            return
        self._busy = True
        try:
            self._grow()
            place = self._where(kind)
            if not place:
                return
            if place not in self._noted:
                self._noted.add(place)
                self._write(self._log, f"{place}\n".encode())
            if place == self._place and self._mode == "half" and not Path(self._once).exists():
                soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (_HALF, hard))
                self._cut = Path(name).absolute(), soft
            elif place == self._place and self._mode != "half" and self._first():
                if self._mode == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                number = ERRORS[kind]
                raise OSError(number, f"injected: {os.strerror(number)}")
        finally:
            self._busy = False

    def _grow(self) -> None:
        """Ends the limit at the next place; FAULTS_ONCE is made where it has cut the file."""
        if self._cut is None:
            return
        (name, soft), self._cut = self._cut, None
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if not name.exists() or name.stat().st_size >= _HALF:
            self._first()

    def _first(self) -> bool:
        try:
            os.close(os.open(self._once, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def _where(self, kind: str) -> str:
        """The two innermost calls of the package that are not those of shared functions."""
        calls = []
        frame = sys._getframe(2)
        while frame is not None and len(calls) < 2:
            name = frame.f_code.co_filename
            if "importlib._bootstrap" in name and not calls:
                return ""
            if _OWN in name and not name.endswith(_SHARED):
                module = name.rpartition(_OWN)[2].removesuffix(".py")
                calls.append(f"{module}:{frame.f_code.co_name}:{frame.f_lineno}")
            frame = frame.f_back  # type: ignore[assignment] # None ends the loop
        return f"{self._role} {kind} {' < '.join(calls)}" if calls else ""


if os.environ.get("FAULTS_LOG"):
    Faults(os.environ["FAULTS_LOG"]).install()
