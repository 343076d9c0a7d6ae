"""Growth of memory over a long run: leaks, and what only looks like one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import process_memory
from pytest_perfgate.metric import MEMORY_GROWTH, PERFORMANCE
from pytest_perfgate.records.launch import Growth
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.verdicts.evidence import Evidence, Risk
from pytest_perfgate.verdicts.limit_bounds import absolute
from pytest_perfgate.worker.memory_growth import STRETCHES, watch

METRIC = PERFORMANCE[MEMORY_GROWTH]
PAGE = 4096


class Heap:
    """Memory that a recipe holds, in bytes; read in whole pages, as the kernel tells it."""

    def __init__(self, leak: float, *, jump_at: int = -1, jump: int = 0, lump: int = PAGE) -> None:
        self.held, self.leak, self.seen = 0.0, leak, 0
        self.jump_at, self.jump, self.lump = jump_at, jump, lump

    def infer(self, _index: int) -> None:
        """One image."""
        self.held += self.leak + (self.jump if self.seen == self.jump_at else 0)
        self.seen += 1

    def resident(self) -> int:
        """What is told: the allocator asks for a lump at a time."""
        return 50_000_000 + -int(-self.held // self.lump) * self.lump


def compared(growth: Growth) -> tuple[float, float, float]:
    """The estimate, and its bounds at one in a thousand."""
    record = RecipeRecord(name="x", reference="x", growth=growth)
    result = absolute(METRIC, Evidence(record=record), Risk(fail=0.001))
    assert result is not None
    return result.estimate, result.fail_low, result.fail_high


def grown(heap: Heap, most: int = 3000) -> Growth:
    """A run of `most` images."""
    return watch(heap.infer, heap.resident, most=most)


@given(st.floats(300, 50_000))
@settings(max_examples=30, deadline=None)
def test_a_leak_is_told_by_its_size(leak: float) -> None:
    """The interval holds what 1,000 images leave behind, and lies above nothing."""
    estimate, low, high = compared(grown(Heap(leak)))
    assert low <= 1000 * leak <= high
    assert low > 0
    assert estimate == pytest.approx(1000 * leak, rel=0.1)


def test_a_leak_in_large_lumps_is_told_too() -> None:
    """Glibc asks the kernel for 132 kB at a time: most stretches of a small leak show nothing."""
    growth = grown(Heap(900.0, lump=132 * 1024))
    assert 0.0 in growth.stretches
    estimate, low, _ = compared(growth)
    assert low > 0
    assert estimate == pytest.approx(900_000, rel=0.15)


@pytest.mark.parametrize("jump_at", [800, 1500, 2900])
def test_memory_that_grows_once_is_no_leak(jump_at: int) -> None:
    """A cache that fills in one stretch of twenty is within the noise, however large it is."""
    _, low, _ = compared(grown(Heap(0.0, jump_at=jump_at, jump=80_000_000)))
    assert low <= 0


def test_what_grows_while_it_warms_up_does_not_count() -> None:
    """Neither in the value nor in its error."""
    growth = grown(Heap(0.0, jump_at=700, jump=80_000_000))
    assert set(growth.stretches) == {0.0}
    assert growth.images + growth.warm_up == 3000


def test_noise_of_an_allocator_is_rarely_called_a_leak() -> None:
    """Memory that comes and goes: of 200 runs hardly one has its interval above zero."""
    drawn, above = random.Random(3), 0  # noqa: S311 - noise
    for _ in range(200):

        def resident() -> int:
            return 50_000_000 + PAGE * drawn.randrange(0, 400)

        above += compared(watch(lambda _: None, resident, most=400))[1] > 0
    assert above <= 3


def test_a_slow_recipe_has_fewer_images_and_as_many_stretches() -> None:
    """A run takes a minute at most, but for the images that it needs."""
    growth = watch(lambda _: None, lambda: 1, seconds=0.0)
    assert len(growth.stretches) == STRETCHES
    assert growth.images == 5 * STRETCHES


def test_a_kernel_that_does_not_tell_is_an_error() -> None:
    """Never a recipe that does not leak."""
    with pytest.raises(PerfgateError, match="RssAnon"):
        watch(lambda _: None, lambda: None, most=100)


def test_the_real_memory_of_a_leaking_function_grows() -> None:
    """20 kB kept of every call, by the kernel's own count, beside a call that keeps nothing."""
    if process_memory.held() is None:
        pytest.skip("the kernel does not tell")
    kept: list[bytearray] = []
    leaking = watch(lambda _: kept.append(bytearray(b"x" * 20_000)), process_memory.held, most=1500)
    estimate, low, high = compared(leaking)
    assert low < 21e6
    assert high > 19e6
    assert estimate == pytest.approx(20e6, rel=0.3)
    calm = watch(lambda _: bytes(20_000), process_memory.held, most=1500)
    assert compared(calm)[1] < 1e6
