"""Which files of a working tree differ from its commit, whatever git was told not to look at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_perfgate.machine import git

_LOOK = (
    *("-c", "core.checkStat=default", "-c", "core.trustctime=true"),
    *("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false"),
)
"""Settings by which git takes a file for unchanged without looking at it, undone."""
_LINK = "120000"
_SUBMODULE = "160000"


def changed(top: Path, paths: Iterable[str] = (":(top)",)) -> list[str] | None:
    """The files that git holds and whose content is not the commit's, by their paths below `top`;
    submodules with changes of their own among them. None where git does not say.

    Files that are marked as unchanged (`git update-index --assume-unchanged`, `--skip-worktree`)
    are compared as well; one that a sparse checkout left out is not there, and no change.

    Args:
        top: the top folder of a working tree.
        paths: pathspecs of git, relative to it.

    Raises:
        PerfgateError: git is not installed.
    """
    wanted = tuple(paths)
    status = git.run(
        top,
        *_LOOK,
        *("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no"),
        *("--ignore-submodules=none", "--", *wanted),
    )
    listed = git.run(top, "ls-files", "-v", "--stage", "-z", "--full-name", "--", *wanted)
    if status.returncode != 0 or listed.returncode != 0:
        return None
    found = {entry[3:] for entry in status.stdout.split("\0") if entry}  # "XY PATH"
    marked, submodules = _entries(listed.stdout)
    own = {path for path in submodules - found if _is_changed(top / path)}
    return sorted(found | _differing(top, marked) | own)


def _entries(listed: str) -> tuple[Mapping[str, tuple[str, str]], set[str]]:
    """Path to mode and object of the files that are marked as unchanged, and all submodules."""
    marked, submodules = {}, set()
    for entry in listed.split("\0"):
        about, tab, path = entry.partition("\t")
        if not tab:
            continue
        tag, mode, name, _ = about.split()
        if mode == _SUBMODULE:
            submodules.add(path)
        elif tag.islower() or tag == "S":
            marked[path] = (mode, name)
    return marked, submodules


def _is_changed(submodule: Path) -> bool:
    """Whether a submodule has changed files; one that is not checked out has none."""
    return (submodule / ".git").exists() and changed(submodule) != []


def _differing(top: Path, marked: Mapping[str, tuple[str, str]]) -> set[str]:
    """Those of marked files that are here with another content or kind, or are gone."""
    sparse = git.answer(top, "config", "--bool", "core.sparseCheckout") == "true"
    differ = set()
    for path, (mode, name) in marked.items():
        try:
            is_link = stat.S_ISLNK(os.lstat(top / path).st_mode)
        except OSError:
            if not sparse:
                differ.add(path)
            continue
        if is_link is not (mode == _LINK) or not _is(top, path, name, is_link=is_link):
            differ.add(path)
    return differ


def _is(top: Path, path: str, name: str, *, is_link: bool) -> bool:
    """Whether a file has the content of an object, after git's own filters."""
    if is_link:
        return git.run(top, "cat-file", "blob", name).stdout == str((top / path).readlink())
    return git.run(top, "hash-object", "--", path).stdout.strip() == name
