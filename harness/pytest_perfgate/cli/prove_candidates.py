"""The arms of `pytest-perfgate prove`: a recipe with a fault, or after a harmless change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.metric import MEMORY_GROWTH
from pytest_perfgate.proving import harmless, recipes
from pytest_perfgate.proving.catalogue import Fault, Place, Size
from pytest_perfgate.proving.harmless import Harmless
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.suite import reading
from pytest_perfgate.units import Unit, show


@dataclass(frozen=True)
class Sizes:
    """What sizes of faults are counted by.

    Attributes:
        slower: the share of the latency that a budget on time claims to see.
        latency, cold, load: of the clean recipe, in seconds.
        memory: its peak, in bytes.
    """

    slower: float
    latency: float
    cold: float
    load: float
    memory: float

    def of(self, fault: Fault) -> float:
        """The size of a fault, in seconds or bytes; 0 for one of one size."""
        return {
            Size.ONE: 0.0,
            Size.LIMIT: self.slower * self.latency,
            Size.SHARE: fault.share * self.latency,
            Size.FIRST: _rounded(self.cold),
            Size.LOAD: self.load,
            Size.MEMORY: fault.share * self.memory,
        }[fault.size]

    def words(self, fault: Fault) -> str:
        """That size for people."""
        if fault.size is Size.ONE:
            return ""
        unit = Unit.BYTES if fault.size is Size.MEMORY else Unit.SECONDS
        text = f"+{show(self.of(fault), unit)}"
        return f"{text} ({self.slower:.0%})" if fault.size is Size.LIMIT else text


def _rounded(seconds: float) -> float:
    """One digit: an evaluation is found in the cache while the size is the same."""
    return float(f"{seconds:.1g}")


@dataclass(frozen=True)
class Candidate:
    """A recipe after one change.

    Attributes:
        name: of the fault or of the harmless change.
        arm: that is measured; None where the change could not be made.
        timed: whether it takes turns in launches.
        fault: None for a harmless change.
        absent: why there is no arm.
    """

    name: str
    arm: Arm | None
    timed: bool
    fault: Fault | None = None
    absent: str = ""

    @property
    def label(self) -> str:
        """Of its arm."""
        return "" if self.arm is None else self.arm.label


def with_fault(
    fault: Fault, suite: Suite, recipe: Recipe, sizes: Sizes, *, parity: float | None, growth: bool
) -> Candidate:
    """The recipe with a fault.

    Args:
        fault: of the catalogue.
        suite: whole.
        recipe: of the suite.
        sizes: of the clean recipe.
        parity: the limit of a budget on parity, None for none.
        growth: whether a budget asks for the growth of the memory.
    """
    try:
        planted, ours = recipes.planted(fault, suite, recipe, sizes.of(fault))
    except PerfgateError as error:
        return Candidate(fault.name, None, fault.timed, fault, error.problem)
    evaluated = fault.evaluated
    arm = Arm(
        f"{recipe.name}@{fault.name}",
        planted,
        ours,
        copy_of="" if evaluated or _grows(fault, growth) else recipe.name,
        parity=parity if evaluated and fault.place in {Place.SESSION, Place.RECIPE} else None,
        growth=_grows(fault, growth),
    )
    return Candidate(fault.name, arm, fault.timed, fault)


def _grows(fault: Fault, wanted: bool) -> bool:
    return wanted and MEMORY_GROWTH in fault.metrics


def after_harmless(change: Harmless, suite: Suite, recipe: Recipe, *, timed: bool) -> Candidate:
    """The recipe after a harmless change that is in no code."""
    ours, changed = harmless.changed(change, suite, recipe)
    return Candidate(change.name, Arm(f"{recipe.name}@{change.name}", ours, changed), timed)


def in_a_copy(
    change: Harmless,
    suite: Suite,
    recipe: Recipe,
    files: Sequence[str],
    folder: Path,
    *,
    timed: bool,
) -> Candidate:
    """The recipe from a copy of the project's code, edited in a harmless way.

    Args:
        change: which edit.
        suite: whole.
        recipe: of the suite.
        files: the project's files that the recipe rests on.
        folder: for the copy.
        timed: whether it takes turns in launches.
    """
    root = folder / change.name
    root.mkdir()
    file, _ = harmless.copy_code(change, suite, files, root)
    read = reading.read(file, root)
    if read.suite is None or recipe.name not in read.suite.recipes:
        problems = read.suite_problems or read.problems[recipe.name]
        return Candidate(change.name, None, timed, None, problems[0].problem)
    # Budgets and the files of stores are those of the suite: the copy's file was only read again.
    copy = replace(
        suite,
        file=file,
        root=root,
        recipes={**read.suite.recipes, recipe.name: recipe},
        import_path=(),
    )
    return Candidate(change.name, Arm(f"{recipe.name}@{change.name}", copy, recipe), timed)
