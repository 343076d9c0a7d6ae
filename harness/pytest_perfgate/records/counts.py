"""What is counted of one inference: numbers without noise, beside the times."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.units import count_of

_NAMED = 8  # kinds of nodes in one sentence


class Graph(Frozen):
    """The graph that a session runs.

    Attributes:
        source: where the nodes were read, for people.
        nodes: kind of a node to how many there are; None: the runtime does not tell.
        multiply_adds: of one inference; None: not counted.
        parameters: numbers in the weights; None: not counted.
        unmeasured: metrics without a value, with the reason.
    """

    source: str = ""
    nodes: dict[str, int] | None = None
    multiply_adds: int | None = None
    parameters: int | None = None
    unmeasured: dict[str, str] = Field(default_factory=dict)


class Counts(Frozen):
    """What was counted of one recipe.

    Attributes:
        values: metric to its count.
        kinds: kind of a node of the graph that runs to how many there are.
        source: where the nodes were read, for people.
        unmeasured: metrics without a value, with the reason.
    """

    values: dict[str, int] = Field(default_factory=dict)
    kinds: dict[str, int] = Field(default_factory=dict)
    source: str = ""
    unmeasured: dict[str, str] = Field(default_factory=dict)


def changed_kinds(ours: Mapping[str, int], theirs: Mapping[str, int]) -> str:
    """Which kinds of nodes `ours` has more and fewer of: "Conv +1, Relu -2"; "" for none."""
    changes = {kind: ours.get(kind, 0) - theirs.get(kind, 0) for kind in sorted({*ours, *theirs})}
    moved = sorted(
        ((kind, change) for kind, change in changes.items() if change),
        key=lambda one: (-abs(one[1]), one[0]),
    )
    text = ", ".join(f"{kind} {change:+d}" for kind, change in moved[:_NAMED])
    left = len(moved) - _NAMED
    return f"{text} and {count_of(left, 'more kind')}" if left > 0 else text
