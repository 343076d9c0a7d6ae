"""The commit that a session measures, and whether files were measured that no commit has.

Recipes are read, built and evaluated at different times, so one look at the working tree does not
tell what was measured: it is looked at before anything is read, after each suite and at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.machine import git, git_changes

_SHOWN = 6  # files


@dataclass(frozen=True)
class TreeState:
    """What a session can say of the code that it measured.

    Attributes:
        commit: "" where git does not say it, or where it was not one alone.
        dirty: whether files were measured that were not committed.
        changed: what changed while the session measured, in words; "" for nothing.
    """

    commit: str
    dirty: bool
    changed: str = ""


@dataclass(frozen=True)
class _Look:
    """One look: the commit, changed files that git holds, and files that it does not hold."""

    commit: str
    changed: frozenset[Path]
    others: frozenset[Path]


_UNKNOWN = _Look("", frozenset(), frozenset())


class WorkingTree:
    """The working tree of one session; its first look is the moment when it is made.

    Args:
        root: the project's root.
        without: changes below this folder do not count.
    """

    def __init__(self, root: Path, *, without: Path | None = None) -> None:
        self._root = root
        self._without = without
        self._looks = [_look(root, without)]

    def state(self, files: Collection[str] = ()) -> TreeState:
        """Looks once more, and says what holds for the whole time since the first look. A file that
        had changes in one look counts. Of files that git does not hold, those among `files` do, as
        for `untracked`.
        """
        self._looks.append(_look(self._root, self._without))
        measured = {self._root.resolve() / name for name in files}
        changed = [look.changed | (look.others & measured) for look in self._looks]
        sometimes = frozenset[Path]().union(*changed)
        commits = list(dict.fromkeys(look.commit for look in self._looks))
        if len(commits) > 1:
            names = " -> ".join(name[:10] or "no commit" for name in commits)
            return TreeState(
                "",
                dirty=True,
                changed=f"the commit changed while the session measured ({names}): nothing is "
                "stored under either of them",
            )
        only_then = sometimes.difference(frozenset(changed[0]).intersection(*changed))
        return TreeState(commits[0], bool(sometimes), self._in_words(commits[0], only_then))

    def _in_words(self, commit: str, paths: Collection[Path]) -> str:
        if not paths:
            return ""
        names = [short_path(path, self._root.resolve()) for path in sorted(paths)]
        return (
            f"files changed while the session measured ({_first(names)}): it counts as one with "
            f"local changes, and nothing is stored under {commit[:10]} alone"
        )


def _look(root: Path, without: Path | None) -> _Look:
    paths = [":(top)"]
    try:
        commit = git.answer(root, "rev-parse", "HEAD")
        top = git.answer(root, "rev-parse", "--show-toplevel")
        if commit is None or top is None:
            return _UNKNOWN
        if without is not None and without.resolve().is_relative_to(root.resolve()):
            paths.append(f":(exclude,literal){short_path(without, Path(top))}")
        changed = git_changes.changed(Path(top), paths)
        others = _others(root, Path(top))
    except PerfgateError:  # git is not installed
        return _UNKNOWN
    if changed is None or others is None:
        return _UNKNOWN
    return _Look(commit, frozenset(Path(top, name) for name in changed), others)


def untracked(root: Path, files: Collection[str]) -> tuple[str, ...] | None:
    """Those of `files` (relative to `root`, or whole paths) that git neither holds nor ignores;
    None where git does not say.
    """
    try:
        top = git.answer(root, "rev-parse", "--show-toplevel")
        others = None if top is None else _others(root, Path(top))
    except PerfgateError:  # git is not installed
        return None
    if others is None:
        return None
    return tuple(name for name in sorted(files) if root.resolve() / name in others)


def notes_on_untracked(root: Path, files: Collection[str]) -> tuple[str, ...]:
    """A note on those of `files` that git neither holds nor ignores; () for none."""
    added = untracked(root, files)
    return (f"measured files that are not committed: {_first(added)}",) if added else ()


def _first(names: Sequence[str]) -> str:
    """Some of many names, and how many there are besides."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _others(root: Path, top: Path) -> frozenset[Path] | None:
    """The files that git neither holds nor ignores; None where it does not say."""
    listed = git.answer(
        root, "ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", ":(top)"
    )
    if listed is None:
        return None
    return frozenset(Path(top, name) for name in listed.split("\0") if name)
