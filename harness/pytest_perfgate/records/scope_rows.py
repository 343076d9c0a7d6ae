"""Scores of recipes on sets and slices, for tables: plain data."""

from __future__ import annotations

from pydantic import Field

from pytest_perfgate.frozen import Frozen


class ScopeRow(Frozen):
    """One score of one recipe over the images of a set or of one of its slices.

    Attributes:
        metric: name of the score, without a scope.
        of_set: the set, "" for the validation images.
        slicing: the name of the slices that it is one of, "" for the whole set.
        slice: its name, "" for the whole set.
        images: how many images it has.
        value, low, high: the score and its 95 % interval; None: it has none.
        difference, difference_low, difference_high: to the reference, paired over the images, and
            its 95 % interval; None: of a reference, or not compared.
        small: whether the slice is too small to judge.
        worst: whether no other slice of the slicing, or no other set, has a worse score.
    """

    metric: str
    of_set: str = ""
    slicing: str = ""
    slice: str = ""
    images: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    small: bool = False
    worst: bool = False


class ShiftRecord(Frozen):
    """The source and the target set of a suite, "" for the validation images, and the steps by
    which each recipe adapts that learns from data.
    """

    source: str
    target: str
    adapting: dict[str, tuple[str, ...]] = Field(default_factory=dict)
