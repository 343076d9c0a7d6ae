"""Which files git holds in a working tree and at a commit, submodules included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import git, git_changes
from pytest_perfgate.records.code_tree import CodeTree

_SUBMODULE = "160000"
"""The mode of a submodule's entry in an index and in a tree (gitlink)."""


class HeldFiles:
    """What git's index holds of a working tree; paths are relative to its top folder."""

    def __init__(self, top: Path) -> None:
        self._top = top

    @cached_property
    def _entries(self) -> tuple[frozenset[PurePosixPath], Mapping[PurePosixPath, str]]:
        """Files with all folders around them, and the commit of each submodule."""
        files: set[PurePosixPath] = set()
        submodules: dict[PurePosixPath, str] = {}
        for path, mode, name in _listed(self._top, "ls-files", "--stage", "-z"):
            if mode == _SUBMODULE:
                submodules[path] = name
            files.update((path, *path.parents))
        return frozenset(files), submodules

    def holds(self, path: PurePosixPath) -> bool:
        """Whether a file is held, or one in a folder; what lies in a submodule counts."""
        files, submodules = self._entries
        return path in files or not submodules.keys().isdisjoint(path.parents)


class BaseSubmodules:
    """The submodules of a commit. Their files are not checked out with it."""

    def __init__(self, tree: CodeTree) -> None:
        self._tree = tree

    @cached_property
    def _commits(self) -> dict[PurePosixPath, str]:
        if not self._tree.revision:
            return {}
        entries = _listed(
            self._tree.working, "ls-tree", "-r", "-z", "--full-tree", self._tree.revision
        )
        return {path: name for path, mode, name in entries if mode == _SUBMODULE}

    def around(self, path: PurePosixPath) -> PurePosixPath | None:
        """The submodule that a path lies in, or is; None for none."""
        return next((one for one in (path, *path.parents) if one in self._commits), None)

    def below(self, folder: PurePosixPath) -> list[PurePosixPath]:
        """The submodules in a folder."""
        return [one for one in self._commits if folder in one.parents]

    def check(self, submodule: PurePosixPath, path: PurePosixPath) -> None:
        """Check that the working tree has the commit's content of a path in a submodule.

        Raises:
            PerfgateError: another commit of the submodule is checked out, or none; or it has local
                changes.
        """
        folder, then = self._tree.working / submodule, self._commits[submodule]
        top, head = "", ""
        if folder.is_dir():
            answer = git.answer(folder, "rev-parse", "--show-toplevel", "HEAD") or ""
            top, _, head = answer.partition("\n")
        if not head or Path(top).resolve() != folder.resolve():
            raise self._problem(submodule, then, "it is not checked out here")
        if head != then:
            raise self._problem(submodule, then, f"{head[:10]} is checked out here")
        wanted = str(self._tree.working / path)
        added = git.answer(folder, "ls-files", "--others", "--exclude-standard", "--", wanted)
        if git_changes.changed(folder) != [] or added != "":
            raise self._problem(submodule, then, "it has local changes here")

    def _problem(self, submodule: PurePosixPath, then: str, here: str) -> PerfgateError:
        return PerfgateError(
            f"the submodule {submodule} is at {then[:10]} at {self._tree.commit}, and {here}: the "
            "base's files of it cannot be had. Next: git submodule update, where that is the "
            "commit to measure; or compare with a stored baseline, without --perf-base"
        )


def _listed(top: Path, *command: str) -> list[tuple[PurePosixPath, str, str]]:
    """Path, mode and object of each entry that git lists.

    Raises:
        PerfgateError: git cannot list them.
    """
    done = git.run(top, *command)
    if done.returncode:
        raise git.failure(done, "")
    entries = []
    for line in done.stdout.split("\0"):
        about, tab, path = line.partition("\t")
        if tab:
            # ls-files: mode, object, stage; ls-tree: mode, type, object
            mode, *_ = fields = about.split()
            entries.append((PurePosixPath(path), mode, max(fields[1:], key=len)))
    return entries
