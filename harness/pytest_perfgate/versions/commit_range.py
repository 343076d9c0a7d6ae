"""The commits between two refs, with merges: which of them contains which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import git
from pytest_perfgate.measure.base_checkout import Commit, find

SHOWN = 10  # characters of a commit


@dataclass(frozen=True)
class CommitRange:
    """All commits that `bad` has and `good` has not, each after its parents.

    Attributes:
        good, bad: the ends; `bad` is the last of `commits`.
        subjects: the first line of each commit's message.
        contains: (commits, 1 + commits); whether commit j - 1, or `good` for j = 0, is commit i
            or comes after it.
        prior: (commits,); 0 for a commit with the very files of its only parent.
    """

    good: Commit
    bad: Commit
    commits: tuple[Commit, ...]
    subjects: tuple[str, ...]
    contains: NDArray[np.bool_]
    prior: NDArray[np.float64]

    @property
    def columns(self) -> tuple[Commit, ...]:
        """The commits that can be measured, in the order of the columns of `contains`."""
        return (self.good, *self.commits)

    def name(self, number: int) -> str:
        """A commit of `commits` for people."""
        return f"{self.commits[number].commit[:SHOWN]} {self.subjects[number]}"


def read_range(root: Path, good: str, bad: str) -> CommitRange:
    """The commits between two refs.

    Raises:
        PerfgateError: a ref is not there, `good` is no ancestor of `bad`, or nothing lies between.
    """
    first = find(root, good, tip=True, option="--good")
    last = find(root, bad, tip=True, option="--bad")
    where = f"--good {good} --bad {bad}"
    if first.commit == last.commit:
        raise PerfgateError(
            f"both are commit {first.commit[:SHOWN]}",
            where=where,
            valid="two commits with others between",
        )
    if git.run(root, "merge-base", "--is-ancestor", first.commit, last.commit).returncode:
        common = git.answer(root, "merge-base", first.commit, last.commit)
        remedy = f"--good {common[:SHOWN]}  # the last commit that both have" if common else ""
        raise PerfgateError(
            f"{good} is no ancestor of {bad}",
            where=where,
            valid="a commit in the history of --bad",
            next_step=remedy,
        )
    rows = _log(root, first, last)
    numbers = {name: number for number, (name, *_) in enumerate(rows)}
    contains = np.zeros((len(rows), len(rows) + 1), dtype=np.bool_)
    trees = {name: tree for name, tree, *_ in rows}
    trees[first.commit] = git.answer(root, "rev-parse", f"{first.commit}^{{tree}}") or ""
    prior = np.ones(len(rows))
    for number, (_, tree, parents, _) in enumerate(rows):
        contains[number, number + 1] = True
        for parent in parents:
            if parent in numbers:
                contains[:, number + 1] |= contains[:, numbers[parent] + 1]
        if len(parents) == 1 and trees.get(parents[0]) == tree:
            prior[number] = 0.0
    if not prior.any():
        raise PerfgateError("no commit between them changes a file", where=where)
    return CommitRange(
        good=first,
        bad=last,
        commits=tuple(replace(last, ref=name[:SHOWN], commit=name) for name, *_ in rows),
        subjects=tuple(subject for *_, subject in rows),
        contains=contains,
        prior=prior,
    )


def _log(root: Path, first: Commit, last: Commit) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Name, tree, parents and subject of each commit, parents first."""
    done = git.run(
        root,
        *(
            "log",
            "--topo-order",
            "--reverse",
            "--no-show-signature",
            "--format=%H%x00%T%x00%P%x00%s",
        ),
        *(f"{first.commit}..{last.commit}", "--"),
    )
    if done.returncode:
        raise git.failure(done, f"--good {first.ref} --bad {last.ref}")
    rows = []
    for line in done.stdout.splitlines():
        name, tree, parents, subject = line.split("\0", 3)
        rows.append((name, tree, tuple(parents.split()), subject))
    return rows
