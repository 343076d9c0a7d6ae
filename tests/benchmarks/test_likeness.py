"""The benchmark of near-duplicates: a miss is red."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from benchmarks import likeness
from benchmarks.likeness import Timing


def test_a_missed_target_is_red() -> None:
    """Too slow, too few copies found, or one that is none; the target itself is kept."""
    kept = Timing(5_000, 20_000, likeness.TARGET_SECONDS, 100, 95, 0, 0.001)
    assert not kept.missed
    assert replace(kept, seconds=20.1).missed
    assert replace(kept, found=94).missed
    assert replace(kept, wrong=1).missed


def test_copies_are_found_and_scenes_of_other_photographs_are_not() -> None:
    """The smallest run of the timed part, of real photographs."""
    small = likeness.timing(12, 24)
    assert (small.copies, small.found, small.wrong) == (12, 12, 0)
