"""Two sessions beside each other, as data and as words: for the terminal and the page."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.text import WIDTH, Write
from pytest_perfgate.units import count_of, show, show_percent


class Direction(StrEnum):
    """What became of one metric, in the order in which people want to know."""

    WORSE = "WORSE"
    BETTER = "BETTER"
    NO_DIFFERENCE = "NO DIFFERENCE"  # none that these two sessions can prove
    REFUSED = "NOT COMPARED"

    @property
    def rank(self) -> int:
        """0 for what is read first."""
        return list(Direction).index(self)


@dataclass(frozen=True)
class Moved:
    """How the later value stands to the earlier one.

    Attributes:
        estimate, low, high: a ratio when `relative`, else a difference; infinite bounds: not known.
        relative: which of the two.
        method: the rule that the interval comes from.
        notes: what else was compared, for people.
    """

    estimate: float
    low: float
    high: float
    relative: bool
    method: str
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The change with its interval: "+9.1 % (+4.0 % … +14.5 %)"."""
        show_one = _percent if self.relative else _signed
        if self.low == self.high:
            return show_one(self.estimate)
        if math.isinf(self.low) or math.isinf(self.high):
            return f"{show_one(self.estimate)} (interval not known)"
        return f"{show_one(self.estimate)} ({show_one(self.low)} … {show_one(self.high)})"


@dataclass(frozen=True)
class Row:
    """One metric of one recipe in both sessions.

    Attributes:
        before, after: the values, in the metric's base unit; None: not measured.
        moved: None when it was not compared, `reason` says why then.
        verdicts: on its budget, before and after; None: it had none.
    """

    suite: str
    recipe: str
    metric: Metric
    before: float | None
    after: float | None
    direction: Direction
    moved: Moved | None
    reason: str
    verdicts: tuple[Status | None, Status | None]

    @property
    def name(self) -> str:
        """Suite, recipe and metric."""
        return f"{self.suite} {self.recipe} {self.metric.name}"

    @property
    def notable(self) -> bool:
        """Whether it moved, or the verdict on it did."""
        moved = self.direction in {Direction.WORSE, Direction.BETTER}
        return moved or self.verdicts[0] is not self.verdicts[1]

    @property
    def values(self) -> str:
        """Both values: "18.2 ms -> 19.9 ms"."""
        unit = self.metric.unit
        return f"{show(self.before, unit)} -> {show(self.after, unit)}"

    @property
    def judged(self) -> str:
        """The verdicts where one of them is: "PASS -> FAIL", "" when there was no budget."""
        if self.verdicts == (None, None):
            return ""
        before, after = (verdict.value if verdict else "no budget" for verdict in self.verdicts)
        return before if before == after else f"{before} -> {after}"


@dataclass(frozen=True)
class Fact:
    """Something else that differs: what it is, and before -> after in words."""

    about: str
    text: str


@dataclass(frozen=True)
class Differences:
    """All that differs between two sessions.

    Attributes:
        refused: why nothing that was measured is compared, "" when it is.
        chance: that any direction of an unchanged pair is wrong.
        rows: by direction, then in the sessions' order.
        facts: code, versions, machine, recipes, data, worst suspects first.
    """

    before: SessionRecord
    after: SessionRecord
    refused: str
    chance: float
    rows: tuple[Row, ...]
    facts: tuple[Fact, ...]

    @property
    def answer(self) -> str:
        """The result of the comparison, in one sentence."""
        if self.refused:
            return f"No measurement is compared: {self.refused}."
        counts = Counter(row.direction for row in self.rows)
        compared = len(self.rows) - counts[Direction.REFUSED]
        if not compared:
            return "The two sessions have no comparable measurement in common."
        worse, better = counts[Direction.WORSE], counts[Direction.BETTER]
        if not worse and not better:
            metrics = count_of(compared, "metric")
            return f"{metrics} compared: no difference that these two sessions can prove."
        first = next(row for row in self.rows if row.direction is not Direction.NO_DIFFERENCE)
        said = f"{worse} worse" if worse else "none worse"
        return (
            f"Of {count_of(compared, 'metric')}, {said} and {better} better than before. "
            f"{first.recipe} {first.metric.name}: {first.moved.text if first.moved else ''}."
        )


_MARKUP: dict[Direction, dict[str, bool]] = {
    Direction.WORSE: {"red": True, "bold": True},
    Direction.BETTER: {"green": True},
    Direction.NO_DIFFERENCE: {},
    Direction.REFUSED: {"yellow": True},
}


def count_line(rows: Iterable[Row]) -> str:
    """How many rows there are of each direction."""
    counts = Counter(row.direction for row in rows)
    return "metrics: " + (
        ", ".join(
            f"{counts[direction]} {direction.value}" for direction in Direction if counts[direction]
        )
        or "none"
    )


def side(session: SessionRecord) -> str:
    """A session in one line: when, which commit, how long."""
    commit = session.commit[:10] or "no commit"
    dirty = " with local changes" if session.dirty else ""
    broken = "" if session.complete else ", interrupted"
    when = session.started.replace("T", " ").replace("+00:00", " UTC")
    return f"{session.id}  {when}, commit {commit}{dirty}, {session.seconds:.0f} s{broken}"


def write(differences: Differences, out: Write) -> None:
    """The comparison for a terminal: at most 100 columns; what moved, then what else differs."""
    _wrapped(out, f"before  {side(differences.before)}", "        ")
    _wrapped(out, f"after   {side(differences.after)}", "        ")
    _wrapped(out, differences.answer)
    for row in differences.rows:
        if row.notable:
            _row(row, out)
    for about, rows in _refusals(differences.rows):
        listed = ", ".join(f"{row.recipe} {row.metric.name}" for row in rows)
        _wrapped(out, f"{Direction.REFUSED.value:<14}{about}: {listed}", " " * 14)
    for fact in differences.facts:
        _wrapped(out, f"{'differs':<14}{fact.about}: {fact.text}", " " * 14)
    out(count_line(differences.rows))


def _refusals(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows that were not compared, by the reason."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        if row.direction is Direction.REFUSED:
            grouped.setdefault(row.reason, []).append(row)
    return list(grouped.items())


def _row(row: Row, out: Write) -> None:
    worse = row.direction is Direction.WORSE
    markup = _MARKUP[row.direction]
    head = f"{row.direction.value:<14}{row.name}"
    for number, line in enumerate(textwrap.wrap(head, WIDTH, subsequent_indent=" " * 14)):
        out(line, **(markup if number == 0 else {}))
    moved = row.moved.text if row.moved else row.reason
    judged = f"; budget {row.judged}" if row.judged else ""
    _wrapped(out, f"{' ' * 14}{row.values}: {moved}{judged}", " " * 14)
    for note in row.moved.notes if row.moved and worse else ():
        _wrapped(out, f"{' ' * 14}{note}", " " * 16)


def _wrapped(out: Write, text: str, indent: str = "  ") -> None:
    for line in textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False):
        out(line)


def _percent(ratio: float) -> str:
    text = show_percent(ratio - 1)
    # A size is exact: two that differ by a byte in a million are not shown as the same.
    return f"{(ratio - 1) * 100:+.1g} %" if text[1:] == "0.0 %" and ratio != 1 else text


def _signed(difference: float) -> str:
    return f"{difference:+.4f}"
