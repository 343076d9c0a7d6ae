"""Counts of one inference, behind an evaluation: they are the same in every session of one code.

An inference does the same work each time; what comes on top of it (a collection of garbage, a
thread that starts, a page that the kernel takes) only adds. So of several inferences of one image
the fewest count, once the runtime has settled.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import TypeVar

from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine import event_counters, process_memory
from pytest_perfgate.machine.allocations import allocations
from pytest_perfgate.metric import (
    ALLOCATED_BYTES,
    ALLOCATIONS,
    INSTRUCTIONS,
    MULTIPLY_ADDS,
    NODES,
    PAGE_FAULTS,
    PARAMETERS,
)
from pytest_perfgate.records.counts import Counts, Graph
from pytest_perfgate.runtimes import InferenceSession

Value = TypeVar("Value")

WITH_MEMRAY = "memray"
NO_MEMRAY = (
    "memray is not installed; python -m pip install 'pytest-perfgate[allocations]' counts them"
)
_LEAVE_OUT = "leave the budget out of recipes on this runtime"
_NO_GRAPH = f"the runtime does not tell which graph it runs; {_LEAVE_OUT}"
_NO_COUNTERS = "run on a machine whose kernel offers them, or leave the budget out"

_OF_GRAPH = (MULTIPLY_ADDS, PARAMETERS, NODES)

_WARM = 4  # inferences: a runtime plans its memory by the first ones
_FEWEST, _MOST = 3, 12  # inferences, of which the fewest count
_SECONDS = 1.0  # after which no more begin


def tools(*, heap: bool) -> dict[str, str]:
    """What counts here: counts are made anew where it is another. `heap` as for `count`."""
    try:
        with event_counters.instructions():
            offered = "instructions"
    except event_counters.CountersRefusedError as refused:
        offered = str(refused)
    installed = heap and find_spec(WITH_MEMRAY) is not None
    return {
        "heap": str(heap),
        "memray": version(WITH_MEMRAY) if installed else "",
        "counters": offered,
    }


def count(open_session: Callable[[], InferenceSession], inputs: Inputs, *, heap: bool) -> Counts:
    """What an inference of `inputs` takes in a new session.

    Args:
        open_session: opens the recipe's artifact.
        inputs: those of one image.
        heap: whether allocations are counted too.
    """
    values: dict[str, int] = {}
    unmeasured: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        read = None
        try:
            # Before the session: its threads count too when they begin later.
            read = stack.enter_context(event_counters.instructions())
        except event_counters.CountersRefusedError as refused:
            unmeasured[INSTRUCTIONS] = f"{refused}; {_NO_COUNTERS}"
        session = open_session()
        stack.callback(session.close)

        def infer() -> None:
            session.run(inputs)

        # Pages that earlier work of this process has left would hide new ones, and the kernel puts
        # huge ones together whenever it likes.
        stack.enter_context(process_memory.only_small_pages())
        process_memory.trim()
        for _ in range(_WARM):
            infer()
        with _no_garbage():
            values[PAGE_FAULTS] = _fewest(event_counters.page_faults, infer)
            if read is not None:
                values[INSTRUCTIONS] = _fewest(read, infer)
            if not heap:
                pass
            elif find_spec(WITH_MEMRAY) is None:
                unmeasured |= dict.fromkeys((ALLOCATIONS, ALLOCATED_BYTES), NO_MEMRAY)
            else:
                tracked = _several(lambda: allocations(infer))
                values[ALLOCATIONS], values[ALLOCATED_BYTES] = map(min, zip(*tracked, strict=True))
        graph = _graph(session, inputs)
    return _with_graph(Counts(values=values, unmeasured=unmeasured), graph)


def _several(once: Callable[[], Value]) -> list[Value]:
    """What `once` gives, several times."""
    start = time.perf_counter()
    values: list[Value] = []
    while len(values) < _FEWEST or (len(values) < _MOST and time.perf_counter() - start < _SECONDS):
        values.append(once())
    return values


def _fewest(read: Callable[[], int], work: Callable[[], object]) -> int:
    """The least that a counter rises by while `work` is done, over several times."""

    def once() -> int:
        before = read()
        work()
        return read() - before

    return min(_several(once))


def _graph(session: InferenceSession, inputs: Inputs) -> Graph | None:
    """The session's graph; that it cannot be read ends no other measurement."""
    try:
        return session.graph(inputs)
    except Exception as error:  # noqa: BLE001 - of any framework, while something optional is read
        first = next(iter(str(error).splitlines()), "")
        problem = f"its graph cannot be read: {type(error).__name__}: {first}"
        return Graph(unmeasured=dict.fromkeys(_OF_GRAPH, problem))


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """No collection falls into an inference."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _with_graph(counts: Counts, graph: Graph | None) -> Counts:
    if graph is None:
        return counts.model_copy(
            update={"unmeasured": counts.unmeasured | dict.fromkeys(_OF_GRAPH, _NO_GRAPH)}
        )
    known = {
        MULTIPLY_ADDS: graph.multiply_adds,
        PARAMETERS: graph.parameters,
        NODES: None if graph.nodes is None else sum(graph.nodes.values()),
    }
    values = {name: value for name, value in known.items() if value is not None}
    why = {
        name: f"{graph.unmeasured.get(name) or 'the runtime does not tell'}; {_LEAVE_OUT}"
        for name in _OF_GRAPH
        if name not in values
    }
    return Counts(
        values=counts.values | values,
        kinds=dict(sorted((graph.nodes or {}).items())),
        source=graph.source,
        unmeasured=counts.unmeasured | why,
    )
