"""Verdicts on budgets and proposed edits of baselines, with their evidence."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator

from pytest_perfgate.frozen import Frozen, Message
from pytest_perfgate.units import Unit


def _unit(text: str) -> str:
    if text:
        Unit(text)  # a ValueError names it
    return text


UnitName = Annotated[str, AfterValidator(_unit)]
"""The base unit of a metric, "" where there is none."""


class Status(StrEnum):
    """The words of a verdict, worst first."""

    ERROR = "ERROR"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_BASELINE = "NO BASELINE"
    NO_MACHINE = "NO MACHINE"  # its target is a machine that this session has not
    SKIPPED = "SKIPPED"  # does not apply on this machine, or a package is missing
    UNAFFECTED = "UNAFFECTED"  # not measured: what it rests on is as it was in an earlier session
    PASS = "PASS"  # noqa: S105 - a verdict, not a password

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Status).index(self)

    @property
    def rank_of_limit(self) -> int:
        """As `rank`, among the limits of one budget: what is proven to be broken is more than what
        could not be compared.
        """
        return -1 if self is Status.FAIL else self.rank

    @property
    def is_measured(self) -> bool:
        """Whether the budget's metric was measured, whatever came of it."""
        return self not in _UNMEASURED


_UNMEASURED = {Status.ERROR, Status.NO_MACHINE, Status.SKIPPED, Status.UNAFFECTED}


class Earlier(Frozen):
    """What an earlier session found of a budget whose inputs have not changed since.

    Attributes:
        session, started, commit: of the session that measured it.
        status: of its verdict.
    """

    session: str
    started: str
    commit: str
    status: Status


class LimitResult(Frozen):
    """One limit, compared.

    Attributes:
        kind, text: of the limit as written.
        limit: the value that must not be crossed, on the scale of `estimate`.
        estimate, low, high: what was compared and its confidence interval; null when nothing was.
        scale: "value" (the metric's own unit), "ratio", or "difference".
        against: what it was compared with, in words ("reference fp32", "baseline of 2026-11-20").
        reason: one sentence.
        sample: how many launches or images it rests on.
        method: the rule that the interval comes from, in words.
        spread: standard deviation of one launch's log value.
        smallest: when nothing was decided, the smallest change that could have been proven: a
            difference for scores, else relative; null: none, however large.
        needed: when nothing was decided, about how many launches would do; null: no number, or
            launches are not the sample.
        possible: the same, were the truth as far from the limit as these launches allow.
        kept: the bound up to which the limit could have been moved to be called kept.
        notes: what else was compared, for people.
    """

    kind: str
    text: str
    status: Status
    limit: float
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    scale: str = "value"
    against: str = ""
    reason: str
    sample: int = 0
    method: str = ""
    spread: float | None = None
    smallest: float | None = None
    needed: int | None = None
    possible: int | None = None
    kept: float | None = None
    notes: tuple[str, ...] = ()


class Verdict(Frozen):
    """The answer to one budget, with the evidence that led to it.

    `value`, `low`, `high` are of the metric itself, in its base unit; `baseline` is the stored
    value and `baseline_age` its age in days. `next_step` says what to do. `slower` says, for a
    broken budget on time, where the time went: the stages first, then the operators. `earlier` is
    the measurement that an UNAFFECTED budget rests on.
    """

    recipe: str
    metric: str
    status: Status
    unit: UnitName
    value: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    baseline_age: float | None = None
    limits: tuple[LimitResult, ...] = ()
    reason: Message
    next_step: str = ""
    slower: tuple[str, ...] = ()
    earlier: Earlier | None = None

    def fits(self, patterns: Iterable[str], target: str = "") -> bool:
        """Whether a pattern is of "RECIPE-METRIC", or on a target of "RECIPE-METRIC@TARGET"."""
        name = f"{self.recipe}-{self.metric}"
        names = (name, f"{name}@{target}") if target else (name,)
        return any(fnmatchcase(one, pattern) for pattern in patterns for one in names)

    @property
    def is_proven_earlier(self) -> bool:
        """Whether an earlier session really measured that the budget is kept."""
        return (
            self.status is Status.UNAFFECTED
            and self.earlier is not None
            and self.earlier.status is Status.PASS
        )


class MetricSummary(Frozen):
    """One metric of one recipe for tables: value, interval, and the values it is compared with."""

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    reference: float | None = None  # the reference's value
    baseline: float | None = None  # the stored value
    base: float | None = None  # the value at the version that --perf-base names


class Change(Frozen):
    """A proposed edit of the stored baselines; `kind` is create, tighten, loosen or prune."""

    kind: str
    recipe: str
    metric: str
    unit: Unit
    before: float | None
    after: float | None
    reason: str = ""
    written: bool = False
