"""HOTA, CLEAR MOT and identity: TrackEval's values, and laws of their uncertainty."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.tracking.data import Objects, TrackingData, Tracks
from pytest_perfgate.tasks.tracking.matching import Counts, Frame, count
from pytest_perfgate.tasks.tracking.scores import evaluate, ratios_of

from benchmarks.tracking import values_of_trackeval
from tests.tasks.tracking.make_trackeval_values import TABLE
from tests.tasks.tracking.worlds import world, worlds

WORLDS = worlds()
KNOWN: dict[str, dict[str, float]] = json.loads(TABLE.read_text())


def values(rows: Sequence[Counts]) -> dict[str, float]:
    """The metrics of sequences."""
    return {
        name: float(top.sum() / bottom.sum()) for name, (top, bottom) in ratios_of(rows).items()
    }


def ours(sequences: Sequence[Sequence[Frame]]) -> dict[str, float]:
    """The same from their frames."""
    return values([count(frames) for frames in sequences])


@pytest.mark.parametrize("name", WORLDS)
def test_the_values_are_trackevals(name: str) -> None:
    """The table was made by TrackEval 1.3.0: `make_trackeval_values.py` has the command."""
    assert ours(WORLDS[name]) == pytest.approx(KNOWN[name], abs=1e-6)


def test_the_table_is_what_trackeval_gives() -> None:
    """Its own classes, where a folder has them (`PERFGATE_TRACKEVAL`): worlds of the table, and
    others.
    """
    try:
        for name, sequences in WORLDS.items():
            assert values_of_trackeval(sequences) == pytest.approx(KNOWN[name], abs=1e-9)
    except ImportError as error:
        pytest.skip(f"{error}: python -m pip install --target FOLDER --no-deps trackeval==1.3.0")
    for seed in range(1000, 1020):
        sequences = [world(seed, 30, 7), world(seed + 50, 20, 3)]
        assert ours(sequences) == pytest.approx(values_of_trackeval(sequences), abs=1e-6)


def test_a_class_that_the_data_lack_is_an_error() -> None:
    """Its boxes would count nowhere; the message says how to name the network's classes."""
    boxes = np.array([[0, 0, 4, 4]], np.float32)
    data = TrackingData([np.zeros((8, 8, 3), np.uint8)], [1], [Objects.of(boxes, [1])])
    tracks = Tracks(boxes, np.ones(1, np.float32), np.array([1]), np.array([1]))
    with pytest.raises(DataError, match="names a class 1, and the data has 1"):
        evaluate(data, [tracks])


@given(st.lists(st.integers(0, 400), min_size=2, max_size=6))
def test_shares_of_sequences_move_as_the_metric_does(seeds: list[int]) -> None:
    """A sequence that weighs a little more moves the ratio of shares as it moves the metric: the
    bootstrap over sequences sees the metric's own spread.
    """
    rows = [count(world(seed, 6, 3)) for seed in seeds]
    ratios = ratios_of(rows)
    little = 1e-4
    heavier = Counts(*(part * (1 + little) for part in rows[0].__dict__.values()))
    moved = values([heavier, *rows[1:]])
    for name in ("hota", "deta", "assa", "mota", "idf1"):
        top, bottom = ratios[name]
        weights = np.ones(len(rows))
        weights[0] += little
        share = float(weights @ top / (weights @ bottom))
        before = float(top.sum() / bottom.sum())
        assert share - before == pytest.approx(moved[name] - before, abs=20 * little**2)


def test_a_perfect_tracker_has_all_and_a_silent_one_nothing() -> None:
    """The ends of the scale."""
    frames = [Frame(frame.truth, frame.truth, np.eye(len(frame.truth))) for frame in world(3)]
    assert ours([frames]) == {
        **dict.fromkeys(("hota", "deta", "assa", "mota", "idf1"), 1.0),
        "id_switches": 0.0,
    }
    silent = ours([WORLDS["no tracks"][0]])
    assert set(silent.values()) == {0.0}
