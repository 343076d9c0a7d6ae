"""Where the time of an inference goes, as plain data: one row per operator."""

from __future__ import annotations

from pytest_perfgate.frozen import Frozen


class Operator(Frozen):
    """One operator of a network.

    Attributes:
        name: of the layer or node, as the runtime has it.
        kind: what it computes: the type of a layer, node or kernel.
        calls: per inference.
        seconds: per inference, spent in it and in nothing that has a row of its own.
    """

    name: str
    kind: str
    calls: float
    seconds: float


class Profile(Frozen):
    """The operators of one recipe, as its runtime's own profiler sees them.

    Attributes:
        tool: the profiler.
        inferences: how many were profiled.
        seconds: of one inference in the same process without the profiler, median.
        operators: the slowest first.
        problem: why there are none, "" when there are.
    """

    tool: str = ""
    inferences: int = 0
    seconds: float = 0.0
    operators: tuple[Operator, ...] = ()
    problem: str = ""
