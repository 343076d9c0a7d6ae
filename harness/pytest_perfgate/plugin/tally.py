"""What became of every budget that could have been judged: nothing is green by absence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report.answer import measured_of
from pytest_perfgate.units import count_of

_SHOWN = 3


@dataclass(frozen=True)
class _Budget:
    """A selected budget.

    Attributes:
        name: "recipe-metric".
        suite: the suite file that it stands in.
        covers: what is measured where this budget is: suite, runtime, steps, workload, "gpu".
        features: of the CPU of the machine that it is measured on, () while that is not known.
        status: of its verdict, "" while its test has not run.
        proven_earlier: whether an earlier session measured, with the same inputs, that it is kept.
        reason: of its verdict.
    """

    name: str
    suite: str
    covers: tuple[str, ...]
    features: tuple[str, ...] = ()
    status: str = ""
    reason: str = ""
    proven_earlier: bool = False

    @property
    def is_measured(self) -> bool:
        return bool(self.status) and Status(self.status).is_measured

    @property
    def is_accounted_for(self) -> bool:
        """Whether it was measured, now or by an earlier session on the same inputs."""
        return self.is_measured or self.proven_earlier


class Tally:
    """Budgets of one run by the name of their test, over all processes of pytest-xdist."""

    def __init__(self) -> None:
        self._selected: dict[str, _Budget] = {}
        self._collected: set[str] = set()
        self._deselected: set[str] = set()
        self._required: dict[str, list[str]] = {}
        self._suites: set[str] = set()
        self._tested: set[str] = set()
        self._reached: dict[str, _Budget] = {}

    def see(self, suite: str) -> None:
        """A suite file in a folder that pytest collects."""
        self._suites.add(suite)

    def test(self, suite: str) -> None:
        """A suite file whose test was collected, or could not be imported, which is said."""
        self._tested.add(suite)

    def collect(self, tests: Iterable[str]) -> None:
        """Tests of budgets that were collected, before anything is taken out."""
        self._collected.update(tests)

    def select(
        self, test: str, name: str, suite: str, covers: Iterable[str], features: Iterable[str] = ()
    ) -> None:
        """A budget whose test will run; `features` of its machine, where that is known already."""
        self._selected.setdefault(test, _Budget(name, suite, tuple(covers), tuple(features)))

    def require(self, suite: str, words: Iterable[str]) -> None:
        """What a suite file says must be measured."""
        self._required[suite] = list(words)

    def deselect(self, tests: Iterable[str]) -> None:
        """Tests of budgets that `-k`, `-m` or another plugin took out."""
        self._deselected.update(tests)

    def settle(self, test: str, verdict: Verdict, features: Iterable[str] = ()) -> None:
        """The verdict that a test has received, and the features of the machine that it is of."""
        self._selected[test] = _settled(self._selected[test], verdict, features)

    def reach(self, test: str, verdict: Verdict, features: Iterable[str] = ()) -> None:
        """A verdict whose test did not ask for it: that of a run which ended before, or one that
        another plugin took out of it, which nothing here can tell apart.
        """
        if not self._selected[test].status:
            self._reached[test] = _settled(self._selected[test], verdict, features)

    def settle_reached(self) -> None:
        """The run ended at a failure: what was reached is what became of the tests after it."""
        for test, budget in self._reached.items():
            if not self._selected[test].status:
                self._selected[test] = budget

    def dump(self) -> str:
        """JSON, for the controller of pytest-xdist."""
        return json.dumps(
            {
                "selected": {test: asdict(budget) for test, budget in self._selected.items()},
                "reached": {test: asdict(budget) for test, budget in self._reached.items()},
                "collected": sorted(self._collected),
                "deselected": sorted(self._deselected),
                "required": self._required,
                "suites": sorted(self._suites),
                "tested": sorted(self._tested),
            }
        )

    def merge(self, text: str) -> None:
        """Adds the tally of a worker, which has collected everything and run a part."""
        data = json.loads(text)
        self._collected.update(data["collected"])
        self._deselected.update(data["deselected"])
        self._required |= data["required"]
        self._suites.update(data["suites"])
        self._tested.update(data["tested"])
        for test, fields in data["selected"].items():
            budget = _budget(fields)
            if budget.status or test not in self._selected:
                self._selected[test] = budget
        self._reached |= {test: _budget(fields) for test, fields in data["reached"].items()}

    # -- absences --------------------------------------------------------------------------

    def absences(self, *, stopped: bool = False) -> tuple[PerfgateError, ...]:
        """What the verdicts alone would hide: no budget was measured, or some tests did not run.
        `stopped`: because the run ended at a failure, which leaves tests that no mark skips.
        """
        budgets = list(self._selected.values())
        absent = self._named([budget for budget in budgets if not budget.status])
        if stopped and absent:
            return (
                PerfgateError(
                    f"the run stopped at a failure: {len(absent)} of "
                    f"{count_of(len(budgets), 'selected budget')} did not run: {_some(absent)}",
                    next_step="mend the failure, or leave -x and --maxfail out",
                ),
            )
        if not any(budget.is_accounted_for for budget in budgets):
            if any(budget.status == Status.ERROR for budget in budgets):
                return ()  # red already
            return (PerfgateError(f"no budget was measured: {self._why_none(budgets)}"),)
        problems = []
        if absent:
            problems.append(
                PerfgateError(
                    f"{len(absent)} of {count_of(len(budgets), 'selected budget')} did not run: "
                    f"{_some(absent)}",
                    next_step="take out the mark or the plugin that skips their tests",
                )
            )
        if removed := self._removed:
            problems.append(
                PerfgateError(
                    f"{len(removed)} of {count_of(len(self._collected), 'collected test')} of "
                    f"budgets were taken out of the run without a word: {_some(removed)}",
                    next_step="in the hook pytest_collection_modifyitems that takes them out, call "
                    "config.hook.pytest_deselected(items=[...]), or leave them in",
                )
            )
        return tuple(problems)

    def _named(self, budgets: Iterable[_Budget]) -> list[str]:
        """Their names, behind the folder of their suite where several suites are selected: equal
        names of recipes are one recipe only within a suite.
        """
        if len({budget.suite for budget in self._selected.values()}) <= 1:
            return [budget.name for budget in budgets]
        return [f"{Path(one.suite).parent.as_posix()} {one.name}" for one in budgets]

    @property
    def _removed(self) -> list[str]:
        """Collected tests that are neither selected nor said to be deselected."""
        return sorted(self._collected - self._selected.keys() - self._deselected)

    def without_test(self) -> list[PerfgateError]:
        """Suite files below the collected paths that no collected test measures, selected or not: a
        test module that was renamed or forgotten.
        """
        return [
            PerfgateError(
                "no collected test takes `budget` beside this suite: nothing of it was measured",
                where=suite,
                next_step=f"write {_test_of(suite)} with: def test_budget(budget): budget.check(); "
                "or leave the folder out: --ignore, norecursedirs",
            )
            for suite in sorted(self._suites - self._tested)
        ]

    def _why_none(self, budgets: Sequence[_Budget]) -> str:
        if not budgets and self._deselected:
            return f"{count_of(len(self._deselected), 'test')} of suites deselected (-k, -m)"
        if not budgets and self._removed:
            return (
                f"{count_of(len(self._removed), 'test')} of suites taken out of the run by a hook "
                "pytest_collection_modifyitems"
            )
        if not budgets:
            return (
                "no test of a suite was collected. A suite is a folder with recipes.toml and a "
                "test that takes `budget`; name it, or add it to testpaths"
            )
        unaffected = [budget for budget in budgets if budget.status == Status.UNAFFECTED]
        if unaffected:
            return f"{len(unaffected)} of {len(budgets)} UNAFFECTED, none of them kept when it was"
        placeless = [budget for budget in budgets if budget.status == Status.NO_MACHINE]
        if placeless:
            return (
                f"{len(placeless)} of {len(budgets)} NO MACHINE; the first: {placeless[0].reason}"
            )
        skipped = [budget for budget in budgets if budget.status == Status.SKIPPED]
        if skipped:
            return f"{len(skipped)} of {len(budgets)} SKIPPED; the first: {skipped[0].reason}"
        return (
            f"{count_of(len(budgets), 'selected budget')} did not run (--benchmark-only, a mark, "
            "or another plugin skips their tests)"
        )

    def unmet(self, required: Iterable[str]) -> list[PerfgateError]:
        """Requirements of `--perf-require` that this session did not measure. A feature of a CPU is
        met where any budget was measured on a machine that has it.
        """
        budgets = list(self._selected.values())
        return [
            PerfgateError(f"nothing of it was measured: {reason}", where=f"--perf-require={word}")
            for word in required
            if (reason := _why_unmet(word, budgets))
        ]

    def unmet_of_suites(self) -> list[PerfgateError]:
        """Requirements of suite files, `[suite] require`, that this session did not measure with a
        budget of the same suite, on any of its targets that were selected.
        """
        return [
            PerfgateError(
                f"nothing of {word!r} was measured{self._on_targets(suite)}: {reason}",
                where=f"{suite}: suite.require",
            )
            for suite, words in self._required.items()
            for word in words
            if (reason := _why_unmet(word, self._of(suite)))
        ]

    def _on_targets(self, suite: str) -> str:
        """The selected targets of a suite in words, "" for none: one that measures is enough."""
        names = {budget.name.partition("@")[2] for budget in self._of(suite)} - {""}
        return f" on any of its selected targets ({', '.join(sorted(names))})" if names else ""

    def _of(self, suite: str) -> list[_Budget]:
        return [budget for budget in self._selected.values() if budget.suite == suite]

    @property
    def has_selected(self) -> bool:
        """Whether any budget was to be measured."""
        return bool(self._selected)

    @property
    def summary(self) -> str:
        """How many budgets were measured of those that were selected."""
        count = sum(budget.is_measured for budget in self._selected.values())
        return measured_of(count, len(self._selected))


def _settled(budget: _Budget, verdict: Verdict, features: Iterable[str]) -> _Budget:
    return replace(
        budget,
        features=tuple(features) or budget.features,
        status=verdict.status.value,
        reason=verdict.reason,
        proven_earlier=verdict.is_proven_earlier,
    )


def _budget(fields: Mapping[str, Any]) -> _Budget:
    """A budget as `Tally.dump` has it; JSON makes lists of tuples."""
    return _Budget(**{**fields, **{name: tuple(fields[name]) for name in ("covers", "features")}})


def _why_unmet(word: str, budgets: Sequence[_Budget]) -> str:
    """Why a requirement is not met, "" when it is."""
    covering = [budget for budget in budgets if word in {*budget.covers, *budget.features}]
    if any(budget.is_accounted_for for budget in covering):
        return ""
    reasons = [budget.reason for budget in covering if budget.reason]
    if reasons:
        return reasons[0]
    if covering:
        return "its tests did not run"
    known = sorted({name for budget in budgets for name in budget.covers})
    return (
        f"no selected recipe has it (selected: {', '.join(known) or 'nothing'}), and no CPU that "
        "was measured on has a feature of that name"
    )


def _test_of(suite: str) -> str:
    """The test module that a suite file should have: names of modules must differ."""
    folder = Path(suite).parent
    name = re.sub(r"\W", "_", folder.name) or "budgets"
    return (folder / f"test_{name}.py").as_posix()


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
