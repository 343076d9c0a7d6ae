"""The code of another git ref, beside the working tree, for as long as a session needs it.

Git writes the commit's files into a folder of the cache through an index of their own: nothing in
the repository changes, neither its index, nor its list of worktrees, nor a branch, whatever ends
the session. Filters apply as in any checkout (large files, line ends).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import git
from pytest_perfgate.machine.held_folders import held_folder


@dataclass(frozen=True)
class Commit:
    """The commit that a session measures against.

    Attributes:
        ref: as it was named.
        commit: its full name.
        top: the repository's top folder.
        prefix: the project's root below that folder, "" when they are the same.
        merge_base: whether the commit is not the ref's own, but the last one that it has in common
            with the working tree's.
        option: the option that named the ref.
        label: its name for people, "" for that of its ref.
    """

    ref: str
    commit: str
    top: Path
    prefix: str
    merge_base: bool = False
    option: str = "--perf-base"
    label: str = ""

    @property
    def name(self) -> str:
        """The ref and its commit, for people."""
        short = self.commit[:10]
        if self.label:
            return self.label
        if self.merge_base:
            return f"the merge base with {self.ref} ({short})"
        return short if self.commit.startswith(self.ref) else f"{self.ref} ({short})"


def find(root: Path, ref: str, *, tip: bool = False, option: str = "--perf-base") -> Commit:
    """The commit to compare with: the merge base of `ref` and HEAD, so that what others did on that
    branch meanwhile is not part of the difference; with `tip` the ref's own commit. `option` is the
    one that named the ref, for messages.

    Raises:
        PerfgateError: there is no git, no repository, no such ref, or no common history; git's
            reason is named.
    """
    where = f"{option} {ref}"
    answer = git.run(root, "rev-parse", "--show-toplevel")
    if answer.returncode:
        if "not a git repository" not in answer.stderr:
            raise git.failure(answer, where)
        raise PerfgateError(
            f"{root} is not in a git repository",
            where=where,
            next_step=f"run it in a clone of the project, or leave {option} out",
        )
    top = Path(answer.stdout.strip())
    own = _commit(root, ref, where)
    commit = own if tip else _merge_base(root, ref, own, where)
    prefix = git.answer(root, "rev-parse", "--show-prefix") or ""
    return Commit(ref, commit, top, prefix, merge_base=commit != own, option=option)


def _commit(root: Path, ref: str, where: str) -> str:
    """The full name of the commit that a ref names."""
    commit = None
    if not ref.startswith("-"):
        commit = git.answer(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if commit:
        return commit
    if _is_shallow(root):
        raise PerfgateError(
            f"there is no commit {ref!r} here, and this clone is shallow: it holds only a part "
            "of the history",
            where=where,
            next_step=_UNSHALLOW,
        )
    branches = git.answer(root, "for-each-ref", "--format=%(refname:short)", "--count=8")
    raise PerfgateError(
        f"there is no commit {ref!r} here",
        where=where,
        valid="a branch, tag or commit: " + ", ".join((branches or "HEAD").split()),
        next_step=f"git fetch origin {ref.removeprefix('origin/')}",
    )


def _merge_base(root: Path, ref: str, commit: str, where: str) -> str:
    """The last commit that a commit and HEAD have in common."""
    common = git.answer(root, "merge-base", commit, "HEAD")
    if common:
        return common
    if _is_shallow(root):
        raise PerfgateError(
            f"the merge base of {ref} and HEAD is not in this clone, which is shallow",
            where=where,
            next_step=_UNSHALLOW,
        )
    raise PerfgateError(
        f"{ref} and HEAD have no common history",
        where=where,
        next_step="measure against the ref itself: --perf-base-tip",
    )


def _is_shallow(root: Path) -> bool:
    return git.answer(root, "rev-parse", "--is-shallow-repository") == "true"


_UNSHALLOW = "git fetch --unshallow (actions/checkout: fetch-depth: 0), then again"


@contextlib.contextmanager
def checked_out(commit: Commit, cache: Path) -> Iterator[Path]:
    """The project's root at a commit, as a folder that is gone afterwards.

    Raises:
        PerfgateError: git cannot write it, or the project was not there yet.
    """
    with held_folder(cache / "base", commit.commit[:10]) as place:
        tree, index = place / "tree", place / "index"
        tree.mkdir()
        where = f"{commit.option} {commit.ref}"
        more = {"GIT_INDEX_FILE": str(index.resolve())}
        for command in (
            ("read-tree", commit.commit),
            ("checkout-index", "--all", "--quiet", f"--prefix={tree.resolve()}{os.sep}"),
        ):
            done = git.run(commit.top, *command, more=more)
            if done.returncode:
                raise git.failure(done, where)
        root = tree / commit.prefix
        if not root.is_dir():
            raise PerfgateError(
                f"the commit has no folder {commit.prefix!r}, in which the project is", where=where
            )
        yield root.resolve()
