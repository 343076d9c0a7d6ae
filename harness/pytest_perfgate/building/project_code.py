"""The suite's own code: import paths resolved, and what they read kept in view.

A build depends on the source of every module of the project that it imported and on every file
of the project that it opened; and, outside the project, on modules that no package manager has
installed and on files of weights. `Watch` notes all of them, so that a cached artifact is used only
while they are as they were.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

import pytest_perfgate
from pytest_perfgate.building.code_closure import closure, sources

_IGNORED = {".git", ".perfgate", "__pycache__", ".tox", ".venv", "reports", "node_modules"}
_WEIGHTS = {".safetensors", ".pt", ".pth", ".onnx", ".npz", ".npy", ".bin", ".json", ".toml"}
"""Files beside an imported module that native loaders open without Python seeing it."""
_OUTSIDE = {
    *(_WEIGHTS - {".json", ".toml"}),
    *(".ckpt", ".h5", ".pkl", ".pickle", ".tflite", ".weights", ".engine"),
}
"""Files outside the project that count when they are opened: others are settings of the machine."""
_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages: versions of those that are imported are in the keys."""
_COMPILED = f"{os.sep}__pycache__{os.sep}"
_HARNESS = Path(pytest_perfgate.__file__).parent
_PYTHON = Path(sysconfig.get_path("stdlib"))


CHANGED = "changed while it was read"
"""In place of the digest of a file whose content when it was used nobody knows: it equals none, so
that what rests on it is made anew by the next session."""

Identity = tuple[int, int, int, int]
"""Of a file's content: inode, size, and the two times in nanoseconds."""


def _identity(name: str) -> Identity | None:
    """That of a file now; None where there is none. It opens nothing."""
    try:
        status = os.stat(name)  # noqa: PTH116 - in a hook that runs inside every open
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _source(compiled: str) -> str:
    """The source of a module's compiled code; the file itself where it is something else."""
    try:
        return source_from_cache(compiled)
    except ValueError:
        return compiled


@dataclass
class Reads:
    """Names of modules and of files that a process has read."""

    modules: set[str]
    opened: set[str]


class Digests:
    """What the project's files (below `root`) hold now, each read once; `progress(done, total,
    note)` is called while they are read.
    """

    def __init__(
        self, root: Path, progress: Callable[[int, int, str], None] = lambda *_: None
    ) -> None:
        self._root = root.resolve()
        self._progress = progress
        self._digests: dict[str, str] = {}
        self._identities: dict[str, Identity | None] = {}  # when they were digested

    def unchanged(self, files: Mapping[str, str]) -> bool:
        """Whether every one of `files` still has the digest that it had."""
        for index, (name, digest) in enumerate(files.items()):
            if self.digest(name) != digest:
                return False
            self._progress(index + 1, len(files), "comparing the project's files")
        return True

    def digest(self, name: str) -> str:
        """SHA-256 of a file, its name relative to the root or whole; "" when there is none."""
        if name not in self._digests:
            file = self._root / name
            self._identities[name] = _identity(str(file))
            self._digests[name] = (
                hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
            )
        return self._digests[name]


@functools.cache
def _listeners() -> list[weakref.ref[Watch]]:
    """The watches of this process. Python takes no audit hook back (PEP 578), and calls each at
    every event, of which a frame that is looked at is one: a single hook serves them all.
    """
    listeners: list[weakref.ref[Watch]] = []

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            for reference in list(listeners):
                watch = reference()
                if watch is not None:
                    watch.hear(arguments)

    sys.addaudithook(hear)
    return listeners


class Watch(Digests):
    """Notes which files this process has read of the project (below `root`), and of what lies
    outside of it and may change without a version.

    The harness's own are not among them, also where they lie there: what of them shapes an artifact
    is in its key.

    Args:
        root: the project's root.
        cache: the folder of the artifact cache, which is not read as a source.
        progress: as of `Digests`.
    """

    def __init__(
        self,
        root: Path,
        cache: Path | None = None,
        progress: Callable[[int, int, str], None] = lambda *_: None,
    ) -> None:
        super().__init__(root, progress)
        self._prefix = str(self._root) + os.sep
        self._cache = None if cache is None else cache.resolve()
        self._opened: set[str] = set()
        self._of_data = Reads(set(), set())
        self._reading_data = False
        self._first: dict[str, Identity] = {}  # of files, when they were opened first
        listeners = _listeners()
        listeners.append(weakref.ref(self, listeners.remove))

    def hear(self, arguments: tuple[Any, ...]) -> None:
        """Notes a file that is opened; `arguments` are those of the audit event "open"."""
        if not isinstance(arguments[0], (str, bytes)):
            return
        mode = arguments[1]
        if isinstance(mode, str) and set(mode) & set("wax+"):
            return
        # Links are not followed: a hook runs inside every open, and must not open anything.
        name = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - see above
        if name.startswith(self._prefix) or os.path.splitext(name)[1] in _OUTSIDE:  # noqa: PTH122 - as above
            if self._reading_data and name not in self._opened:
                self._of_data.opened.add(name)
            else:
                self._of_data.opened.discard(name)
            self._opened.add(name)
            # Python reads a module's compiled code where that is newer than the source.
            self._note(_source(name) if _COMPILED in name else name)

    def _note(self, name: str) -> None:
        if name not in self._first and (identity := _identity(name)) is not None:
            self._first[name] = identity

    @contextlib.contextmanager
    def reading_data(self) -> Iterator[None]:
        """What is imported and opened first meanwhile is data's; see `files_of`."""
        before = set(sys.modules)
        outer, self._reading_data = self._reading_data, True
        try:
            yield
        finally:
            self._reading_data = outer
            if not outer:
                self._of_data.modules.update(sys.modules.keys() - before)

    def files_of(self, roots: Iterable[str], data: Iterable[Path] = ()) -> dict[str, str]:
        """As `files`, without those that only data were read from: digests of data count by
        themselves. Whatever the modules `roots` import counts, though data had imported it first.

        Args:
            roots: names of the modules whose code runs, which need not be loaded.
            data: files, and folders of which all but code and weights are data.
        """
        reads = self._of_data
        loaded = {name: file for name, file in sources().items() if self._name(file)}
        needed = closure(roots, loaded)
        if needed is None:
            reads = Reads(set(), set())
        elif needed & reads.modules:  # what they opened when they were imported is not known
            reads = Reads(reads.modules - needed, set())
        out = {*reads.opened, *(str(loaded[name]) for name in reads.modules & loaded.keys())}
        places = [path for place in data for path in (place.absolute(), place.resolve())]
        return self._listed(reads.modules, out, places)

    def files(self) -> dict[str, str]:
        """Each file read so far with the digest of its bytes: by its path relative to the root, by
        the whole path where it is outside. Of a file that is not as it was when it was opened first
        `CHANGED`: what was read of it is not what it holds.
        """
        return self._listed(set(), set(), ())

    def _listed(
        self, modules: set[str], opened: set[str], places: Sequence[Path]
    ) -> dict[str, str]:
        """The files read so far, without those of some modules, and those in some places."""
        files = {Path(name) for name in self._opened - opened}
        for name, module in list(sys.modules.items()):
            source = getattr(module, "__file__", None)
            if not isinstance(source, str) or not source.endswith(".py") or name in modules:
                continue
            file = Path(source)
            if source.startswith(self._prefix):
                files.update(other for other in file.parent.iterdir() if other.suffix in _WEIGHTS)
                files.add(file)
            elif file.is_absolute() and not self._has_version(file):
                files.add(file)
        files = {file for file in files if not _lies_in(file, places)}
        listed = {}
        for index, file in enumerate(files):
            name = self._name(file)
            digest = self.digest(name) if name else ""
            if digest:
                listed[name] = CHANGED if self._is_changed(file, name) else digest
            self._progress(index + 1, len(files), "digesting the project's files")
        return dict(sorted(listed.items()))

    def _is_changed(self, file: Path, name: str) -> bool:
        """Whether a file was written since it was opened first, or since it was digested."""
        digested = self._identities[name]
        return digested != self._first.get(str(file), digested) or digested != _identity(str(file))

    def _has_version(self, file: Path) -> bool:
        """Whether a module outside the project is of Python or of an installed package."""
        return file.is_relative_to(_PYTHON) or not _INSTALLED.isdisjoint(file.parts)

    def _is_cached(self, file: Path) -> bool:
        """Whether a file is of the cache. The base's checkout lies in its folder and is none: an
        entry without its files would fit every version of the code.
        """
        if self._cache is None or not file.is_relative_to(self._cache):
            return False
        checkout = self._root.is_relative_to(self._cache)
        return not (checkout and file.is_relative_to(self._root))

    def _name(self, file: Path) -> str:
        """How a file is listed, "" for one that is not."""
        if file.is_relative_to(_HARNESS) or self._is_cached(file):
            return ""
        if file.suffix in _OUTSIDE and not _INSTALLED.isdisjoint(file.parts):
            return file.as_posix()  # nobody need import the package whose weights are read
        if not file.is_relative_to(self._root):
            return "" if self._has_version(file) else file.as_posix()
        relative = file.relative_to(self._root)
        if _IGNORED.isdisjoint(relative.parts) and relative.name not in _OWN:
            return relative.as_posix()
        return ""


def _lies_in(file: Path, places: Sequence[Path]) -> bool:
    """Whether a file is one of `places`, or in one and neither code nor weights."""
    if file.suffix in _WEIGHTS or file.suffix in _OUTSIDE or file.suffix == ".py":
        return file in places
    return any(map(file.is_relative_to, places))


_OWN = {"recipes.toml", "pyproject.toml"}
"""Read by the harness itself; what matters of them is in an artifact's key already."""
