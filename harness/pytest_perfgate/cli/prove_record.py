"""What `pytest-perfgate prove` found out, also its JSON file."""

from __future__ import annotations

from pytest_perfgate.frozen import Frozen, Message
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.records.verdict import Status

RED = frozenset({Status.FAIL, Status.ERROR})
"""The answers that fail a test."""


class Cell(Frozen):
    """A budget's answer to one change.

    Attributes:
        metric: of the budget.
        status: null: the change leaves this metric as it is, so that it was not measured.
        counts: whether a red answer is the fault's: the budget is not red without it.
    """

    metric: str
    status: Status | None = None
    reason: str = ""
    counts: bool = True

    @property
    def red(self) -> bool:
        """Whether the budget turns red by this change."""
        return self.counts and self.status in RED


class Row(Frozen):
    """One change, and what became of the budgets.

    Attributes:
        name: of the fault, or of the harmless change.
        what: what it does.
        size: how large it is, in words; "" for a change of one size.
        absent: why the recipe cannot have it, "" where it can.
        cells: one for each budget.
        lines: budgets that see it, as lines of a suite file; none where one turned red already.
        hint: why no line is known, "" where one is or none is needed.
        timed: the number of launches that it was measured in.
    """

    name: str
    what: str
    size: str = ""
    absent: Message = ""
    cells: tuple[Cell, ...] = ()
    lines: tuple[str, ...] = ()
    hint: str = ""
    timed: int = 0

    @property
    def red(self) -> tuple[str, ...]:
        """Metrics of the budgets that turn red."""
        return tuple(cell.metric for cell in self.cells if cell.red)


class Proof(Frozen):
    """All that one run of the command found out about one recipe.

    Attributes:
        budgets: metric to the budget as a line of a suite file.
        before: metrics of budgets that are red without any change, with the reason.
        faults, harmless: one row for each change.
        launches: how many were measured.
        seconds: how long all of it took.
    """

    version: int = 1
    suite: str
    recipe: str
    machine: Machine
    budgets: dict[str, str]
    before: dict[str, str]
    faults: tuple[Row, ...]
    harmless: tuple[Row, ...]
    launches: int
    seconds: float

    @property
    def applicable(self) -> tuple[Row, ...]:
        """Faults that the recipe can have."""
        return tuple(row for row in self.faults if not row.absent)

    @property
    def unseen(self) -> tuple[Row, ...]:
        """Faults that no budget sees."""
        return tuple(row for row in self.applicable if not row.red)

    @property
    def false_alarms(self) -> tuple[Row, ...]:
        """Harmless changes by which a budget turns red."""
        return tuple(row for row in self.harmless if row.red)
