"""Counts of an inference: what the kernel and the allocator see, and the graph that is told."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine import event_counters
from pytest_perfgate.metric import (
    ALLOCATED_BYTES,
    ALLOCATIONS,
    INSTRUCTIONS,
    MULTIPLY_ADDS,
    NODES,
    PAGE_FAULTS,
    PARAMETERS,
)
from pytest_perfgate.records.counts import Graph
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.worker import counting

INPUTS = Inputs(np.zeros((1, 3, 4, 4), np.float32))
PAGES, BLOCKS, SIZE = 24, 37, 5000


class Working(InferenceSession):
    """A session that does some work, and tells what graph it has."""

    def __init__(self, work: Callable[[], object], graph: Graph | Exception | None = None) -> None:
        self.facts = {}
        self.work = work
        self.told = graph
        self.is_closed = False

    def run(self, inputs: Inputs) -> tuple[Any, ...]:  # noqa: ARG002 - whatever they are
        """Nothing but the work."""
        self.work()
        return ()

    def graph(self, inputs: Inputs) -> Graph | None:  # noqa: ARG002 - whatever they are
        """What it was given."""
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    def close(self) -> None:
        """Notes it."""
        self.is_closed = True


def touches_pages() -> None:
    """New pages in every inference."""
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE) as pages:
        for page in range(PAGES):
            pages[page * mmap.PAGESIZE] = 1


def allocates() -> None:
    """Blocks that are freed at once."""
    for _ in range(BLOCKS):
        np.empty(SIZE, np.uint8)


def test_page_faults_are_those_of_each_inference() -> None:
    """To the page, and none where nothing is asked for. Nothing else of the kernel's is in it."""
    faults = counting.count(lambda: Working(touches_pages), INPUTS, heap=False)
    calm = counting.count(lambda: Working(lambda: None), INPUTS, heap=False)
    assert faults.values[PAGE_FAULTS] - calm.values[PAGE_FAULTS] == PAGES


def test_the_fewest_of_several_inferences_count() -> None:
    """A rare page is not the network's: two inferences in three touch more."""
    turns = iter(range(10_000))

    def now_and_then() -> None:
        touches_pages()
        if next(turns) % 3:
            touches_pages()

    counts = counting.count(lambda: Working(now_and_then), INPUTS, heap=False)
    assert counts.values[PAGE_FAULTS] == PAGES


def test_allocations_are_those_of_each_inference() -> None:
    """To the block and the byte, and only where they are asked for."""
    pytest.importorskip("memray", reason="python -m pip install 'pytest-perfgate[allocations]'")
    counts = counting.count(lambda: Working(allocates), INPUTS, heap=True)
    calm = counting.count(lambda: Working(lambda: None), INPUTS, heap=True)
    assert counts.values[ALLOCATIONS] - calm.values[ALLOCATIONS] == BLOCKS
    assert counts.values[ALLOCATED_BYTES] - calm.values[ALLOCATED_BYTES] == BLOCKS * SIZE
    again = counting.count(lambda: Working(allocates), INPUTS, heap=True)
    assert again.values[ALLOCATIONS] == counts.values[ALLOCATIONS]
    assert again.values[ALLOCATED_BYTES] == counts.values[ALLOCATED_BYTES]
    assert ALLOCATIONS not in counting.count(lambda: Working(allocates), INPUTS, heap=False).values


def test_without_memray_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allocations are then not measured, and installing it counts anew."""
    monkeypatch.setattr(counting, "find_spec", lambda _: None)
    counts = counting.count(lambda: Working(allocates), INPUTS, heap=True)
    assert "pip install 'pytest-perfgate[allocations]'" in counts.unmeasured[ALLOCATIONS]
    assert ALLOCATED_BYTES in counts.unmeasured
    without = counting.tools(heap=True)
    monkeypatch.undo()
    if counting.find_spec("memray"):
        assert counting.tools(heap=True) != without


def test_instructions_are_counted_or_their_absence_has_a_reason() -> None:
    """Twice the work is about twice the instructions; elsewhere the kernel's answer is told."""
    small, large = (
        counting.count(lambda count=count: Working(lambda: sum(range(count))), INPUTS, heap=False)
        for count in (100_000, 200_000)
    )
    if INSTRUCTIONS in small.values:
        assert large.values[INSTRUCTIONS] / small.values[INSTRUCTIONS] == pytest.approx(2, rel=0.2)
    else:
        assert "perf_event_open" in small.unmeasured[INSTRUCTIONS]


def test_a_kernel_that_counts_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter's rise over an inference, with counters of the kernel that are not there."""
    import contextlib

    counter = iter(range(0, 1_000_000, 500))

    @contextlib.contextmanager
    def instructions() -> Iterator[Callable[[], int]]:
        yield lambda: next(counter)

    monkeypatch.setattr(event_counters, "instructions", instructions)
    counts = counting.count(lambda: Working(lambda: None), INPUTS, heap=False)
    assert counts.values[INSTRUCTIONS] == 500
    assert INSTRUCTIONS not in counts.unmeasured


def test_a_graph_is_told_or_its_absence_has_a_reason() -> None:
    """What it leaves out, that there is none, that it cannot be read: no recipe ends by it."""
    opened: list[Working] = []

    def of(graph: Graph | Exception | None) -> Any:
        def opens() -> Working:
            opened.append(Working(lambda: None, graph))
            return opened[-1]

        return counting.count(opens, INPUTS, heap=False)

    whole = of(Graph(source="here", nodes={"Conv": 2, "Add": 1}, multiply_adds=9, parameters=4))
    assert {name: whole.values[name] for name in (NODES, MULTIPLY_ADDS, PARAMETERS)} == {
        NODES: 3,
        MULTIPLY_ADDS: 9,
        PARAMETERS: 4,
    }
    assert whole.kinds == {"Add": 1, "Conv": 2}
    part = of(Graph(nodes={}, parameters=0, unmeasured={MULTIPLY_ADDS: "the products of X"}))
    assert part.values[NODES] == part.values[PARAMETERS] == 0
    assert part.unmeasured[MULTIPLY_ADDS].startswith("the products of X; ")
    assert "does not tell which graph it runs" in of(None).unmeasured[NODES]
    assert "ValueError: no graph today" in of(ValueError("no graph today")).unmeasured[NODES]
    assert all(session.is_closed for session in opened)
