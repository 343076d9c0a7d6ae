"""Which files of a project native code has opened: Python's audit hooks do not hear of them.

Weights are most often read by native code: of safetensors, of runtimes, of OpenCV. The kernel tells
which files of watched folders are opened (inotify(7)), by whatever code, of whatever process: those
that another process opens meanwhile count too, which is too much and never too little.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import weakref
from collections.abc import Collection, Iterator
from pathlib import Path

from pytest_perfgate.building.folder_digests import IGNORED

_OPEN, _WRITTEN = 0x20, 0x2 | 0x80 | 0x100  # modified, moved here, created
_ONLY_FOLDERS, _OF_FOLDER, _OVERFLOW = 0x01000000, 0x40000000, 0x4000
_EVENT = struct.Struct("iIII")
_MOST = 8000
"""Folders that are watched at most: some kernels let a user watch 8,192 things in all."""
_NOTES = {".pyc", ".md", ".rst", ".lock", ".log", ".html", ".css", ".ipynb"}
"""Ends of names that no build reads, and that others open all the time: editors, git."""
_BY_PYTHON = {".py", ".toml", ".json", ".js"}
"""Ends of names that native code does not read, but programs that a build starts."""


class NativeOpens:
    """The files below `root` that are opened from now on, links to elsewhere included.

    Attributes:
        complete: whether the kernel tells all of them: there is inotify, and room for the folders.
    """

    def __init__(self, root: Path) -> None:
        self._places: dict[int, Path] = {}
        self._opened: set[str] = set()
        self._by_python: set[str] = set()
        self._written: set[str] = set()
        self._library = ctypes.CDLL(None, use_errno=True)
        self._handle = -1
        self.complete = False
        if not hasattr(self._library, "inotify_init1"):
            return
        self._handle = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0:
            return
        weakref.finalize(self, _close, self._handle)
        self.complete = self._watch_all(root) and self._hears(root)

    def files(self, *, of_programs: bool = False) -> set[str]:
        """Those that were opened so far; with code and settings, which Python reads, where they may
        be `of_programs` that the build has started. None that was written meanwhile: it is what a
        build leaves behind.
        """
        self._drain()
        opened = self._opened | self._by_python if of_programs else self._opened
        return opened - self._written

    def _watch_all(self, root: Path) -> bool:
        for place, only_folders in _places(root):
            if len(self._places) >= _MOST or not self._add(place, only_folders):
                return False
        return True

    def _add(self, place: Path, only_folders: int) -> bool:
        number = self._library.inotify_add_watch(
            self._handle, os.fsencode(place), _OPEN | _WRITTEN | only_folders
        )
        if number >= 0:
            self._places.setdefault(number, place)
        # Gone meanwhile, a link that leads nowhere, or not readable: nobody opens it either.
        return number >= 0 or ctypes.get_errno() in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}

    def _hears(self, root: Path) -> bool:
        """Whether an open of the folder itself arrives: some file systems tell nothing."""
        with contextlib.suppress(OSError):
            os.close(os.open(root, os.O_RDONLY))
        return self._drain() > 0

    def _drain(self) -> int:
        """Takes the events that wait; gives how many there were."""
        count = 0
        while self._handle >= 0:
            try:
                content = os.read(self._handle, 1 << 16)
            except OSError:  # none are left
                return count
            place = 0
            while place < len(content):
                number, mask, _, length = _EVENT.unpack_from(content, place)
                name = content[place + _EVENT.size : place + _EVENT.size + length].rstrip(b"\0")
                place += _EVENT.size + length
                count += 1
                self._note(number, mask, os.fsdecode(name))
        return count

    def _note(self, number: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self.complete = False
        if number not in self._places or mask & _OF_FOLDER:
            return
        file = self._places[number] / name if name else self._places[number]
        if mask & _WRITTEN:
            self._written.add(str(file))
        elif file.suffix not in _NOTES and not file.name.startswith("."):
            (self._by_python if file.suffix in _BY_PYTHON else self._opened).add(str(file))


def _places(root: Path) -> Iterator[tuple[Path, int]]:
    """The folders below `root`, also those that links lead to, each once; and files that are links,
    of which the folder tells nothing when they are opened.
    """
    known: set[str] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in known:
            continue
        known.add(real)
        yield folder, _ONLY_FOLDERS
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir():
                    if entry.name not in IGNORED and not entry.name.startswith("."):
                        waiting.append(folder / entry.name)
                elif entry.is_symlink():
                    yield folder / entry.name, 0


def weights_below(root: Path, suffixes: Collection[str]) -> set[str]:
    """The files below a folder whose names end so; in folders of links none."""
    found: set[str] = set()
    for place, folders, names in os.walk(root):
        folders[:] = [one for one in folders if one not in IGNORED and not one.startswith(".")]
        found.update(os.path.join(place, one) for one in names if Path(one).suffix in suffixes)  # noqa: PTH118 - thousands of names
    return found


def _close(handle: int) -> None:
    with contextlib.suppress(OSError):
        os.close(handle)
