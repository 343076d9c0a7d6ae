"""The suite's own code: import paths resolved, and what they read kept in view.

A build depends on the source of every module of the project that it imported, on every file of the
project that it opened and, outside, on modules that no package manager has installed, on weights,
and on what the project's own code asks for (`own_reads`). `Watch` notes all of them, so that a
cached artifact is used only while they are as they were.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

import pytest_perfgate
from pytest_perfgate.building.file_digests import Digests, Identity, _identity
from pytest_perfgate.building.folder_digests import IGNORED
from pytest_perfgate.building.imported_packages import (
    named_in,
    top_levels,
    versions_of_imported,
)
from pytest_perfgate.building.native_opens import NativeOpens, weights_below
from pytest_perfgate.building.own_reads import (
    STARTS,
    OwnReads,
    by_own_code,
    hear_variables,
    is_setting,
)
from pytest_perfgate.records.inputs import CHANGED, MODULES, NAMES

_WEIGHTS = {".safetensors", ".pt", ".pth", ".onnx", ".npz", ".npy", ".bin", ".json", ".toml"}
"""Files beside an imported module that native loaders open without Python seeing it."""
_OUTSIDE = {
    *(_WEIGHTS - {".json", ".toml"}),
    *(".ckpt", ".h5", ".pkl", ".pickle", ".tflite", ".weights", ".engine"),
}
"""Files outside the project that count whoever opens them; others where own code does."""
_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages: versions of those that are imported are in the keys."""
_PACKAGES = f"{os.sep}site-packages{os.sep}"
_COMPILED = f"{os.sep}__pycache__{os.sep}"
_HARNESS = Path(pytest_perfgate.__file__).parent
_PYTHON = Path(sysconfig.get_path("stdlib"))
_VERSIONED = str(_PYTHON) + os.sep
_NOT_OWN = (_VERSIONED, str(_HARNESS) + os.sep)


def _source(compiled: str) -> str:
    """The source of a module's compiled code; the file itself where it is something else."""
    try:
        return source_from_cache(compiled)
    except ValueError:
        return compiled


_VOLATILE = (
    *("/proc/", "/sys/", "/dev/", "/run/"),
    *("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"),
)
"""What the kernel and a container's engine write: it says where a process runs."""
_IMPORTING = ("<frozen importlib", f"{_VERSIONED}importlib", str(_HARNESS))
"""Begins the file's name of code that searches folders for modules, and of this project's: what
modules lie beside those that were imported is an input of every recipe, and images are in the data.
"""


@functools.cache
def _listeners() -> list[weakref.ref[Watch]]:
    """The watches of this process. Python takes no audit hook back (PEP 578), and calls each at
    every event, of which a frame that is looked at is one: a single hook serves them all.
    """
    listeners: list[weakref.ref[Watch]] = []

    def watches() -> Iterator[Watch]:
        return (watch for one in list(listeners) if (watch := one()) is not None)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            for watch in watches():
                watch.hear(arguments)
        elif event in STARTS and by_own_code(sys._getframe(1)):
            for watch in watches():
                watch.own.programs = True
        elif event in {"os.listdir", "os.scandir"}:
            frame = sys._getframe(1)
            if not frame.f_code.co_filename.startswith(_IMPORTING):
                own = by_own_code(frame)
                for watch in watches():
                    watch.hear_listing(arguments[0], own=own)

    def hear_variable(name: str) -> None:
        for watch in watches():
            watch.own.variables.add(name)

    tempfile.gettempdir()  # the first call tries folders out: it opens files, which a hook may not
    sys.addaudithook(hear)
    hear_variables(hear_variable)
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
        self._otherwise: set[str] = set()  # opened while no data were read
        self._reading_data = False
        self._native: NativeOpens | None = None
        self._imported_before = top_levels()  # by this project
        self._others: set[str] = set()  # outside the project, of any other kind
        self._written: set[str] = set()
        self._folders_listed: set[str] = set()
        self.own = OwnReads()
        self._since = time.time()
        self._first: dict[str, Identity] = {}  # of files, when they were opened first
        listeners = _listeners()
        listeners.append(weakref.ref(self, listeners.remove))

    def hear(self, arguments: tuple[Any, ...]) -> None:
        """Notes a file that is opened; `arguments` are those of the audit event "open"."""
        if not isinstance(arguments[0], (str, bytes)):
            return
        mode, flags = arguments[1:3]
        # Links are not followed: a hook runs inside every open, and must not open anything.
        name = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - see above
        if mode is None and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._written.add(name)
        if isinstance(mode, str) and set(mode) & set("wax+"):
            self._written.add(name)
            return
        if name.startswith(self._prefix) or os.path.splitext(name)[1] in _OUTSIDE:  # noqa: PTH122 - as above
            self._opened.add(name)
            if not self._reading_data:
                self._otherwise.add(name)
            # Python reads a module's compiled code where that is newer than the source.
            self._note(_source(name) if _COMPILED in name else name)
            if name not in self._first and by_own_code(sys._getframe(1)):
                self.own.absent.add(name)
        elif not name.startswith(_VERSIONED) and _PACKAGES not in name:
            self._others.add(name)
            if is_setting(name) and by_own_code(sys._getframe(1)):
                self._opened.add(name)
                self._otherwise.add(name)
                self._note(name)
                if name not in self._first:
                    self.own.absent.add(name)

    def hear_listing(self, folder: object, *, own: bool) -> None:
        """Notes a folder of the project that was listed, or any that `own` code has listed."""
        if folder is None or isinstance(folder, (str, bytes)):
            name = os.path.abspath(os.fsdecode(folder or "."))  # noqa: PTH100 - as in `hear`
            inside = name.startswith(self._prefix) or name == str(self._root)
            if inside:
                self._folders_listed.add(name)
            if own and (inside or is_setting(name)):
                self.own.listed(name, for_data=self._reading_data)

    def listen(self) -> None:
        """From now on files that native code opens are noted, too: something will be built."""
        if self._native is None:
            self._native = NativeOpens(self._root)

    def _hear_native(self) -> None:
        if self._native is None:
            return
        files = self._native.files(of_programs=self.own.programs)
        if not self._native.complete:  # then any weights of the project may have been read
            files |= weights_below(self._root, _OUTSIDE)
        for name in files - self._opened:
            if _identity(name) is not None:
                self._opened.add(name)
                self._note(name)

    def _note(self, name: str) -> None:
        if name not in self._first and (identity := _identity(name)) is not None:
            self._first[name] = identity

    @contextlib.contextmanager
    def reading_data(self) -> Iterator[None]:
        """What is opened meanwhile alone may be no more than data; see `files_without`."""
        outer, self._reading_data = self._reading_data, True
        try:
            yield
        finally:
            self._reading_data = outer

    def files_without(self, data: Iterable[Path]) -> dict[str, str]:
        """As `files`, without data that was opened only while data were read: its digest counts by
        itself. Code counts whoever imported it: nobody can tell who else uses it.

        Args:
            data: files, and folders of which all but code and weights are data.
        """
        places = [path for place in data for path in (place.absolute(), place.resolve())]
        files = {
            file
            for file in self._sources()
            if str(file) in self._otherwise or not _lies_in(file, places)
        }
        return self._digested(files) | self._of_own_code(places)

    def files(self) -> dict[str, str]:
        """Each file read so far with the digest of its bytes: by its path relative to the root, by
        the whole path where it is outside. Of a file that is not as it was when it was opened first
        `CHANGED`: what was read of it is not what it holds.
        """
        return self._digested(self._sources()) | self._of_own_code()

    def _of_own_code(self, data: Sequence[Path] = ()) -> dict[str, str]:
        """What own code read besides, with digests; see `OwnReads.digests`."""
        self.own.absent -= self._written
        return self.own.digests(self._root, self._listed_name, self.digest, data)

    def _listed_name(self, place: Path) -> str | None:
        """How a file or a folder is listed, "" for the root; None for one that is not."""
        return "" if place == self._root else self._name(place) or None

    def _sources(self) -> set[Path]:
        """Files that were opened and modules that were imported, with the weights that lie beside
        those.
        """
        self._hear_native()
        files = {Path(name) for name in self._opened}
        for module in list(sys.modules.values()):
            source = getattr(module, "__file__", None)
            if not isinstance(source, str) or not source.endswith(".py"):
                continue
            if source.startswith(self._prefix):
                file = Path(source)
                # Not by `iterdir`, whose listing would be taken for the project's own.
                names = os.listdir(file.parent)  # noqa: PTH208 - see above
                beside = (file.parent / one for one in names)
                files.update(other for other in beside if other.suffix in _WEIGHTS)
                files.add(file)
            elif source.startswith(_NOT_OWN) or _PACKAGES in source:
                continue  # thousands, where torch is imported
            elif (file := Path(source)).is_absolute() and not self._has_version(file):
                files.add(file)
        return files

    def _digested(self, files: set[Path]) -> dict[str, str]:
        """The names of files that count, with their digests."""
        listed = {}
        for index, file in enumerate(files):
            name = self._name(file)
            digest = self.digest(name) if name else ""
            if digest:
                listed[name] = CHANGED if self._is_changed(file, name) else digest
            self._progress(index + 1, len(files), "digesting the project's files")
        return dict(sorted(listed.items()))

    def packages(self) -> dict[str, str]:
        """Installed packages that code of the project may run, with their versions: those that its
        modules name, and all that were imported since this watch began, whoever imported them.
        None of them where no module of the project was imported.
        """
        own = [file for file in self._sources() if file.suffix == ".py" and self._name(file)]
        if not own:
            return {}
        return versions_of_imported(named_in(own) | (top_levels() - self._imported_before))

    def names(self) -> tuple[str, ...]:
        """The names of `files` and of `beside`."""
        names = {self._name(file) for file in self._sources()} - {""}
        more = (*map(str, self._outside()), *self._own(), *self._folders(), *self._of_own_code())
        return tuple(sorted({*names, *more}))

    def beside(self) -> dict[str, str]:
        """What else was read, with digests, and makes nothing that is stored anew: files outside
        the project that no package has installed, files of the project that were not there (""),
        the names in folders of the project that were listed, and the modules in those that imports
        begin in. What this process wrote itself is
        no input, nor is a temporary file.
        """
        digests = {}
        for file in self._outside():
            identity = _identity(str(file))
            later = identity is None or max(identity[2:]) / 1e9 > self._since
            digests[str(file)] = CHANGED if later else self._readable(str(file))
        # Names of temporary files are drawn, and are there no longer.
        temporary = tempfile.gettempdir() + os.sep
        gone = (one for one in self._opened - self._written if not one.startswith(temporary))
        absent = {self._name(Path(name)) for name in gone if _identity(name) is None}
        digests |= dict.fromkeys(absent - {""}, "")
        return digests | {name: self.digest(name) for name in (*self._own(), *self._folders())}

    def _own(self) -> list[str]:
        """Files of the project that only this project reads otherwise, where they were opened."""
        files = (Path(name) for name in self._opened if os.path.basename(name) in _OWN)  # noqa: PTH119 - of many names
        return [
            file.relative_to(self._root).as_posix()
            for file in sorted(files)
            if file.is_relative_to(self._root) and not self._is_cached(file)
        ]

    def _outside(self) -> list[Path]:
        """Files of other kinds outside the project."""
        files = map(Path, sorted(self._others - self._written))
        return [file for file in files if not self._is_volatile(file) and file.is_file()]

    def _folders(self) -> list[str]:
        """Names of the folders of the project that were listed, and that imports begin in."""
        places = [(Path(name), NAMES) for name in sorted(self._folders_listed)]
        places += [(Path(name or "."), MODULES) for name in sys.path]
        names = []
        for folder, end in places:
            if not folder.resolve().is_relative_to(self._root) or self._is_cached(folder):
                continue
            relative = folder.resolve().relative_to(self._root)
            if IGNORED.isdisjoint(relative.parts):
                names.append(f"{'' if relative == Path() else relative.as_posix()}{end}")
        return names

    def _readable(self, name: str) -> str:
        try:
            return self.digest(name)
        except OSError:
            return CHANGED

    def _is_volatile(self, file: Path) -> bool:
        """Whether a file outside the project is one of the system's, of a package or of a run."""
        own = (_HARNESS, Path(tempfile.gettempdir()), *([self._cache] if self._cache else []))
        return (
            str(file).startswith(_VOLATILE)
            or _COMPILED in str(file)
            or self._has_version(file)
            or any(file.is_relative_to(folder) for folder in own)
            or (sys.prefix != sys.base_prefix and file.is_relative_to(sys.prefix))
        )

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
        if IGNORED.isdisjoint(relative.parts) and relative.name not in _OWN:
            return relative.as_posix()
        return ""


def _lies_in(file: Path, places: Sequence[Path]) -> bool:
    """Whether a file is one of `places`, or in one and neither code nor weights."""
    if file.suffix in _WEIGHTS or file.suffix in _OUTSIDE or file.suffix == ".py":
        return file in places
    return any(map(file.is_relative_to, places))


_OWN = {"recipes.toml", "pyproject.toml"}
"""Read by the harness itself; what matters of them is in an artifact's key already."""
