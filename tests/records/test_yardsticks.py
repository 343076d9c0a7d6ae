"""Which length of the yardstick corrects which time."""

from __future__ import annotations

import math
import time

import pytest
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.yardsticks import (
    LENGTHS,
    SHORTEST,
    measured_lengths,
    nearest,
    needed,
    span,
    yardstick_values,
)
from pytest_perfgate.worker import yardstick as yardstick_of_cores
from pytest_perfgate.worker.visits import YardstickVisit

from tests.verdicts.judging import launches, recipe


def yardstick(**longer: tuple[float, ...]) -> tuple[Launch, ...]:
    """Two launches whose piece takes 1.8 ms, with the times of longer yardsticks by column."""
    return tuple(
        launch.model_copy(update={"inference": (0.0018,) * 3, "values": longer})
        for launch in launches(0.0018, 2)
    )


@pytest.mark.parametrize(
    ("seconds", "pieces"),
    [(0.0, 1), (1e-5, 1), (0.0035, 1), (0.0045, 4), (0.011, 4), (0.02, 16), (5.0, 16)],
)
def test_the_length_to_measure_is_the_nearest_to_the_inference(seconds: float, pieces: int) -> None:
    """On the scale of ratios; beyond the longest the longest, and the shortest where nothing is
    known.
    """
    assert needed(seconds) == pieces
    assert needed(seconds) in LENGTHS


def test_only_lengths_that_every_launch_measured_correct_a_time() -> None:
    """A stored time is corrected by the length that it was stored with, or not at all."""
    known = yardstick(pieces_4=(0.007, 0.0072, 0.009))
    assert measured_lengths(known) == (1, 4)
    assert yardstick_values(known) == {0: 0.0018, 1: 0.0018}
    assert yardstick_values(known, 4) == {0: 0.0072, 1: 0.0072}
    assert yardstick_values(known, 16) == {}
    partly = (known[0], *yardstick()[1:])
    assert measured_lengths(partly) == (SHORTEST,)
    assert [nearest(known, seconds) for seconds in (0.001, 0.011, 1.0)] == [1, 4, 4]
    assert nearest(known, 0.011, among=(1, 16)) == 1
    assert nearest((), 0.011) == SHORTEST


def test_of_a_rate_the_batch_is_what_takes_time() -> None:
    """Times span themselves, rates their batch; of memory nothing is known."""
    record = recipe("a", 0.01, 2)
    batched = tuple(
        launch.model_copy(update={"batches": (0.08,), "batch_size": 8})
        for launch in record.launches
    )
    record = record.model_copy(update={"launches": batched})
    assert span(record, PERFORMANCE["latency_p50"]) == pytest.approx(0.01, rel=0.02)
    assert span(record, PERFORMANCE["throughput"]) == 0.08
    assert span(record, PERFORMANCE["peak_memory"]) == 0.0


def test_the_longer_yardsticks_go_on_where_the_shorter_ones_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sample times them up to the longest that is asked for, which costs its own time alone."""
    monkeypatch.setattr(yardstick_of_cores, "piece", lambda: lambda: time.sleep(1e-2))
    visit = YardstickVisit()
    assert visit.columns[-2:] == ("pieces_4", "pieces_16")
    _, one, _, device, four = visit.sample(4)
    assert math.isnan(device)  # it runs on no device
    assert four > 2 * one
    assert len(visit.sample(1)) == len(visit.columns) - 2
    assert len(visit.sample(16)) == len(visit.columns)
