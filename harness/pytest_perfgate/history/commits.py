"""The commits between two nights, as git knows them, and what to run to find the one."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.history.nights import Night

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_LISTED = 12
_SHOWN = 10  # characters of a commit


@dataclass(frozen=True)
class Between:
    """What is known of the code between two nights.

    Attributes:
        words: one line for people.
        listed: the commits, newest first, a dozen at most; () where git does not know them.
        more: how many more there are at least, 0 for none.
        command: shows them; "" when there is nothing to show.
        base: the last commit of before, "" when it is not known or the same.
        last: the commit of the night after, "" like `base`.
    """

    words: str
    listed: tuple[str, ...] = ()
    more: int = 0
    command: str = ""
    base: str = ""
    last: str = ""


def between(before: Night, after: Night, root: Path | None) -> Between:
    """The commits after `before`'s up to `after`'s. What a store holds is checked before git is
    given it; `root` None asks no repository.
    """
    old, new = before.commit, after.commit
    if not (_COMMIT.fullmatch(old) and _COMMIT.fullmatch(new)):
        return Between("the commits were not recorded")
    local = before.dirty or after.dirty
    note = ", one of them with local changes" if local else ""
    if old == new:
        if local:
            return Between(f"both of {new[:_SHOWN]}{note}")
        return Between(f"the same commit {new[:_SHOWN]} on both sides: it was not the code")
    names = f"{old[:_SHOWN]}..{new[:_SHOWN]}"
    listed = _log(root, old, new) if root is not None else ()
    return Between(
        f"{names}{note}",
        listed[:_LISTED],
        max(0, len(listed) - _LISTED),
        f"git log --oneline {names}",
        old[:_SHOWN],
        new[:_SHOWN],
    )


def next_command(
    commits: Between, recipe: str, metric: str, *, budget: bool, state: str = ""
) -> str:
    """What to run to be sure; where a step is confirmed, to find its commit."""
    chosen = shlex.quote(f"{recipe}-{metric}" if budget else recipe)
    if commits.base and state in {"confirmed", "back again"}:
        names = f"{shlex.quote(recipe)} {shlex.quote(metric)}"
        return f"pytest-perfgate bisect {names} --good {commits.base} --bad {commits.last}"
    if commits.base:
        return f"pytest --perf -k {chosen} --perf-base {commits.base}"
    if "not the code" in commits.words:
        return "pytest-perfgate doctor"
    return f"pytest --perf -k {chosen}"


def _log(root: Path, old: str, new: str) -> tuple[str, ...]:
    try:
        done = subprocess.run(
            [
                *("git", "log", "--oneline", "--no-decorate", "--no-show-signature"),
                *("-n", str(_LISTED + 50), f"{old}..{new}", "--"),
            ],
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(done.stdout.splitlines())
