"""Weights and data that git does not hold, for the base: those of the working tree.

Both versions of the code are then measured with the same files, and the report says which. A suite
can forbid it (`untracked = "forbid"`). A file
of which the base has another version (a pointer of Git LFS or DVC with other content) is a problem.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.machine import git
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import FORBID, WORKING_TREE, Suite
from pytest_perfgate.sources.naming import files_named

_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Brought:
    """Names of files and folders, relative to the suite's folder.

    Attributes:
        names: those that were taken from the working tree.
        problem: why one cannot be, "" for none.
    """

    names: tuple[str, ...] = ()
    problem: str = ""


def bring(suite: Suite, folder: Path, tree: CodeTree) -> Brought:
    """Puts files that the working tree's suite names into `folder`, its suite folder at the base,
    where git does not hold them.
    """
    names = []
    try:
        for name in dict.fromkeys(_named(suite)):
            source, target = suite.folder / name, folder / name
            if not source.exists() or not target.resolve().is_relative_to(tree.top.resolve()):
                continue
            if _lacks(source, target, tree):
                if suite.untracked == FORBID:
                    raise _forbidden(short_path(source, suite.root), tree)
                _same_dvc(source, target, tree)
                names.append(name)
                _copy(source, target)
    except PerfgateError as error:
        return Brought(problem=error.problem)
    except OSError as error:
        return Brought(problem=f"{error.filename} cannot be taken from the working tree: {error}")
    return Brought(tuple(names))


def _forbidden(name: str, tree: CodeTree) -> PerfgateError:
    return PerfgateError(
        f"git does not hold {name} at {tree.commit}, and suite.untracked = {FORBID!r} keeps the "
        f"base from taking the working tree's. Next: git add -f {name} and commit it (Git LFS for "
        f"large files), or untracked = {WORKING_TREE!r}"
    )


def _named(suite: Suite) -> Iterator[str]:
    """Paths in a suite file, relative to its folder."""
    yield from files_named(suite.model.name)
    weights = suite.model.options.get("weights")
    if isinstance(weights, str) and weights:
        yield weights
    for split in suite.data.values():
        if isinstance(split, Mapping):
            yield from (value for value in split.values() if isinstance(value, str))


def _lacks(source: Path, target: Path, tree: CodeTree) -> bool:
    """Whether git does not hold a path at the base, or holds a pointer to the same content.

    Raises:
        PerfgateError: it is a pointer to other content.
    """
    if not target.exists():
        # A file that git holds by now was added since: the base is without it.
        return not git.answer(tree.working, "ls-files", "--", str(source))
    if not target.is_file() or not _is_pointer(target):
        return False
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if f"oid sha256:{digest}" not in target.read_text(encoding="utf-8"):
        raise PerfgateError(
            f"{target.name} is a pointer of Git LFS at {tree.commit}, to other content than the "
            "working tree's: git lfs install --local && git lfs fetch --all"
        )
    target.unlink()
    return True


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(_POINTER)) == _POINTER


def _same_dvc(source: Path, target: Path, tree: CodeTree) -> None:
    """Check that DVC names the same content at both versions."""
    now, then = (path.with_name(f"{path.name}.dvc") for path in (source, target))
    if now.is_file() and then.is_file() and now.read_bytes() != then.read_bytes():
        raise PerfgateError(
            f"{then.name} names other content at {tree.commit} than in the working tree: "
            "dvc fetch, and put that content where the base's suite finds it"
        )


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
