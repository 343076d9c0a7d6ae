"""The code of another git ref, beside the working tree, for as long as a session needs it.

Git writes the commit's files into a folder of the cache through an index of their own: nothing in
the repository changes, neither its index, nor its list of worktrees, nor a branch, whatever ends
the session. Filters apply as in any checkout (large files, line ends).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import PerfgateError


@dataclass(frozen=True)
class Commit:
    """A ref, found.

    Attributes:
        ref: as it was named.
        commit: its full name.
        top: the repository's top folder.
        prefix: the project's root below that folder, "" when they are the same.
    """

    ref: str
    commit: str
    top: Path
    prefix: str

    @property
    def name(self) -> str:
        """The ref and its commit, for people."""
        short = self.commit[:10]
        return short if self.commit.startswith(self.ref) else f"{self.ref} ({short})"


def find(root: Path, ref: str) -> Commit:
    """The commit that `ref` names in the repository around `root`.

    Raises:
        PerfgateError: there is no git, no repository, or no such ref; a shallow clone is named.
    """
    where = f"--perf-base {ref}"
    top = _git(root, where, "rev-parse", "--show-toplevel")
    if top is None:
        raise PerfgateError(
            f"{root} is not in a git repository",
            where=where,
            next_step="run it in a clone of the project, or leave --perf-base out",
        )
    commit = None
    if not ref.startswith("-"):
        commit = _git(root, where, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if not commit:
        shallow = _git(root, where, "rev-parse", "--is-shallow-repository") == "true"
        if shallow:
            raise PerfgateError(
                f"there is no commit {ref!r} here, and this clone is shallow: it holds only a part "
                "of the history",
                where=where,
                next_step="git fetch --unshallow (actions/checkout: fetch-depth: 0), then again",
            )
        branches = _git(root, where, "for-each-ref", "--format=%(refname:short)", "--count=8")
        raise PerfgateError(
            f"there is no commit {ref!r} here",
            where=where,
            valid="a branch, tag or commit: " + ", ".join((branches or "HEAD").split()),
            next_step=f"git fetch origin {ref.removeprefix('origin/')}",
        )
    prefix = _git(root, where, "rev-parse", "--show-prefix") or ""
    return Commit(ref, commit, Path(top), prefix)


@contextlib.contextmanager
def checked_out(found: Commit, cache: Path) -> Iterator[Path]:
    """The project's root at a commit, as a folder that is gone afterwards.

    Raises:
        PerfgateError: git cannot write it, or the project was not there yet.
    """
    folder = cache / "base"
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder)
    place = folder / f"{os.getpid()}-{found.commit[:10]}"
    tree, index = place / "tree", place / "index"
    try:
        tree.mkdir(parents=True)
        where = f"--perf-base {found.ref}"
        environment = {"GIT_INDEX_FILE": str(index.resolve())}
        for command in (
            ("read-tree", found.commit),
            ("checkout-index", "--all", "--quiet", f"--prefix={tree.resolve()}{os.sep}"),
        ):
            _must(found.top, where, environment, *command)
        root = tree / found.prefix
        if not root.is_dir():
            raise PerfgateError(f"the project's folder {found.prefix!r} was not there", where=where)
        yield root.resolve()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Removes what sessions left behind that were killed."""
    for place in folder.iterdir():
        pid, _, _ = place.name.partition("-")
        if pid.isdigit() and not _runs(int(pid)):
            shutil.rmtree(place, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _git(folder: Path, where: str, *arguments: str) -> str | None:
    """What git says, None when it fails.

    Raises:
        PerfgateError: git is not installed.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise PerfgateError(
            f"git cannot be run: {error.strerror}", where=where, next_step="install git"
        ) from error
    return done.stdout.strip() if done.returncode == 0 else None


def _must(folder: Path, where: str, environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PerfgateError(
            f"git {arguments[0]} failed: {words}",
            where=where,
            next_step="free the disk, or fetch what the clone lacks (git fetch)",
        )
