"""Weights and data that git does not hold, for the base: those of the working tree.

Both versions of the code are then measured with the same files, and the report says which. A suite
can forbid it (`untracked = "forbid"`). Of a link the final target counts: what git holds there.
A file of which the base has another version (a pointer of Git LFS or DVC to other content, another
commit of a submodule) is a problem.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.measure.held_files import BaseSubmodules, HeldFiles
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import FORBID, WORKING_TREE, Suite
from pytest_perfgate.sources.naming import files_named

_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Brought:
    """Names of files and folders, relative to the suite's folder.

    Attributes:
        names: those that were taken from the working tree.
        outside: those that lie outside the repository, so that both versions read the same.
        problem: why one cannot be, "" for none.
    """

    names: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    problem: str = ""


def bring(suite: Suite, folder: Path, tree: CodeTree) -> Brought:
    """Puts files that the working tree's suite names into `folder`, its suite folder at the base,
    where git does not hold them.
    """
    names, outside = [], []
    try:
        for name in dict.fromkeys(_named(suite)):
            if not (suite.folder / name).exists():
                continue
            whole = PurePosixPath(short_path(suite.folder, suite.root), name)
            bringing = _Bringing(str(whole), suite, tree)
            bringing.take(folder / name)
            if bringing.is_brought:
                names.append(name)
            if bringing.is_outside:
                outside.append(name)
    except PerfgateError as error:
        return Brought(problem=error.problem)
    except OSError as error:
        return Brought(problem=f"{error.filename} cannot be taken from the working tree: {error}")
    return Brought(tuple(names), tuple(outside))


def _named(suite: Suite) -> Iterator[str]:
    """Paths in a suite file, relative to its folder."""
    yield from files_named(suite.model.name)
    weights = suite.model.options.get("weights")
    if isinstance(weights, str) and weights:
        yield weights
    for split in suite.data.values():
        if isinstance(split, Mapping):
            yield from (value for value in split.values() if isinstance(value, str))


class _Bringing:
    """One file or folder that a suite names.

    Attributes:
        is_brought: whether something of it was taken from the working tree, which git does not
            hold.
        is_outside: whether something of it lies outside the repository.
    """

    def __init__(self, name: str, suite: Suite, tree: CodeTree) -> None:
        self._name = name
        self._is_forbidden = suite.untracked == FORBID
        self._tree = tree
        self._top, self._working = tree.top.resolve(), tree.working.resolve()
        self._held = HeldFiles(self._working)
        self._submodules = BaseSubmodules(tree)
        self._places: set[Path] = set()
        self.is_brought = self.is_outside = False

    def take(self, target: Path) -> None:
        """Completes what a path of the base leads to, links followed.

        Raises:
            PerfgateError: the base's content cannot be had, or the suite forbids the working
                tree's.
        """
        place = target.resolve()
        if place in self._places:  # a link to a folder around it
            return
        self._places.add(place)
        if not place.is_relative_to(self._top):
            self._elsewhere(place)
            return
        path = PurePosixPath(place.relative_to(self._top))
        submodule = self._submodules.around(path)
        if submodule is not None:
            self._of_submodule(path, submodule)
        elif place.is_dir():
            for inner in self._submodules.below(path):
                self._of_submodule(inner, inner)
            for link in list(_links(place)):
                self.take(link)
        elif place.exists():
            self._own(place, path)
        elif not self._held.holds(path):  # what git holds by now was added since
            self._untracked(place, path)

    def _elsewhere(self, place: Path) -> None:
        """A path outside the base's tree, which both versions of the code read."""
        if place.is_relative_to(self._working):
            if self._held.holds(PurePosixPath(place.relative_to(self._working))):
                raise PerfgateError(
                    f"{self._name} is an absolute link into the working tree, so that the base "
                    "would read the working tree's version. Next: make it a relative link"
                )
            self._forbid()
            self.is_brought = True
        elif place.exists():
            self._forbid()
            self.is_outside = True

    def _own(self, place: Path, path: PurePosixPath) -> None:
        """A file of the base; a pointer of Git LFS is resolved with the working tree's content."""
        here = self._working / path
        if not _is_pointer(place) or not here.is_file():
            return
        digest = hashlib.sha256(here.read_bytes()).hexdigest()
        if f"oid sha256:{digest}" not in place.read_text(encoding="utf-8"):
            raise PerfgateError(
                f"{place.name} is a pointer of Git LFS at {self._tree.commit}, to other content "
                "than the working tree's: git lfs install --local && git lfs fetch --all"
            )
        self._forbid()
        place.unlink()
        self._copy(here, place)

    def _untracked(self, place: Path, path: PurePosixPath) -> None:
        """A path that git holds neither at the base nor by now."""
        here = self._working / path
        if not here.exists():
            return
        final = here.resolve()
        if final.is_relative_to(self._working):
            target = PurePosixPath(final.relative_to(self._working))
            if target != path and self._held.holds(target):
                # The base's version of what the working tree's link leads to.
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(self._top / target)
                self.take(place)
                return
        self._forbid()
        self._same_dvc(here, place)
        self._copy(here, place)

    def _of_submodule(self, path: PurePosixPath, submodule: PurePosixPath) -> None:
        """A path in a submodule, whose files are not checked out at the base."""
        self._submodules.check(submodule, path)
        here, place = self._working / path, self._top / path
        if not here.exists():
            return
        if not here.resolve().is_relative_to((self._working / submodule).resolve()):
            raise PerfgateError(
                f"{self._name} is a link that leads out of the submodule {submodule}, so that its "
                "content at the base is not known. Next: name the link's target in the suite"
            )
        if HeldFiles(self._working / submodule).holds(path.relative_to(submodule)):
            _copy(here, place)
            return
        self._forbid()
        self._copy(here, place)

    def _copy(self, here: Path, place: Path) -> None:
        self.is_brought = True
        _copy(here, place)

    def _forbid(self) -> None:
        """Check that the suite lets the base take what git does not hold.

        Raises:
            PerfgateError: it does not.
        """
        if self._is_forbidden:
            raise PerfgateError(
                f"git does not hold {self._name} at {self._tree.commit}, and suite.untracked = "
                f"{FORBID!r} keeps the base from taking the working tree's. Next: "
                f"git add -f {self._name} and commit it (Git LFS for large files; of a link the "
                f"file that it leads to), or untracked = {WORKING_TREE!r}"
            )

    def _same_dvc(self, here: Path, place: Path) -> None:
        """Check that DVC names the same content at both versions."""
        now, then = (path.with_name(f"{path.name}.dvc") for path in (here, place))
        if now.is_file() and then.is_file() and now.read_bytes() != then.read_bytes():
            raise PerfgateError(
                f"{then.name} names other content at {self._tree.commit} than in the working tree: "
                "dvc fetch, and put that content where the base's suite finds it"
            )


def _links(folder: Path) -> Iterator[Path]:
    """The links in a folder, at any depth."""
    for parent, folders, files in os.walk(folder):
        yield from (
            path for name in (*folders, *files) if (path := Path(parent, name)).is_symlink()
        )


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(_POINTER)) == _POINTER


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)
    else:
        _link(source, target)


def _link(source: str | Path, target: str | Path) -> None:
    """A second name of a file, which costs nothing; a copy on another disk."""
    real = os.path.realpath(source)
    try:
        os.link(real, target)
    except OSError:
        shutil.copy2(real, target)
