"""Recipes of one suite at several commits: checked out, built, measured in the same launches."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import steadiness
from pytest_perfgate.measure.base_checkout import Commit, checked_out
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.records.alike import OF_BATCHES
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.session.suite_at import BaseTree, SuiteAt
from pytest_perfgate.suite.locations import with_files

_ENERGY = "energy"


class CommitBench(contextlib.ExitStack):
    """The work on one suite at several commits.

    Use as a context manager: on the way out every process that it started and every checkout is
    gone. Checkouts that a killed process left are removed when the next one is written.

    Args:
        suite: the working tree's.
        values: recipe name to the values of its ranges, by their places.

    Attributes:
        problems: label to why that arm cannot be measured.
        notes: what people should know of the commits' files.
    """

    def __init__(
        self,
        suite: Suite,
        settings: Settings,
        show: Progress,
        values: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self._suite = suite
        self._settings = settings
        self._show = show
        self._values = values or {}
        # Entered first, so that no process is left when the checkouts go.
        self._trees = self.enter_context(contextlib.ExitStack())
        self._bench: Bench | None = None
        self.problems: dict[str, str] = {}
        self.notes: list[str] = []

    def add(self, commits: Iterable[Commit], recipes: Sequence[str]) -> None:
        """Recipes at more commits, built as many at a time as there are cores for. One that cannot
        be measured is in `problems`; all others can.

        Raises:
            PerfgateError: every user of this machine can write to the cache.
        """
        arms: list[Arm] = []
        for commit in commits:
            arms += self._arms_at(commit, recipes)
        if not arms:
            return
        if self._bench is None:
            self._bench = self.enter_context(Bench(arms, self._settings, self._show))
            self._bench.prepare()
        else:
            self._bench.add(arms)
        self._note_failures()

    def _arms_at(self, commit: Commit, recipes: Sequence[str]) -> list[Arm]:
        arms = []
        try:
            root = self._trees.enter_context(checked_out(commit, self._settings.cache))
            tree = BaseTree(commit, root)
            there = SuiteAt(
                self._suite, tree, lambda suite: with_files(suite, self._settings.cache, self._show)
            )
        except PerfgateError as error:
            self.problems |= {label_of(commit, name): error.problem for name in recipes}
            return []
        self.notes += [note for note in there.notes if note not in self.notes]
        for name in recipes:
            label = label_of(commit, name)
            try:
                arms.append(there.arm(name, label, self._values.get(name, {})))
            except PerfgateError as error:
                self.problems[label] = error.problem
        return arms

    def _note_failures(self) -> None:
        for label, failure in self._bench.failures.items() if self._bench else ():
            self.problems.setdefault(label, f"{failure.stage}: {failure.problem}")

    def launch(
        self, blocks: Sequence[Sequence[str]], metrics: Collection[str], note: str, *, last: bool
    ) -> None:
        """One launch of blocks of labels; those of a block take turns at every inference. `last`:
        the next launch has other arms, or there is none.
        """
        if self._bench is None:
            return
        labels = list(dict.fromkeys(label for block in blocks for label in block))
        self._bench.launch(
            blocks,
            note,
            batches=labels if OF_BATCHES.intersection(metrics) else [],
            energies=labels if _ENERGY in metrics else [],
            last=last,
        )
        self._note_failures()

    def record(self, label: str) -> RecipeRecord:
        """What was measured of an arm, without launches in which the machine was unsteady.

        Raises:
            KeyError: there is no such arm.
        """
        if self._bench is None or label not in self._bench.labels:
            raise KeyError(label)
        record = self._bench.record(label)
        return record.without(frozenset(steadiness.discards(self._bench.conditions)))


def label_of(commit: Commit, recipe: str) -> str:
    """The label of a recipe at a commit; no recipe's name has an @."""
    return f"{recipe}@{commit.commit[:12]}"
