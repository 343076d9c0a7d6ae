"""Boundary F: equal to a direct computation after the code of DAVIS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.tasks.segmentation.boundary import boundary_f
from pytest_perfgate.tasks.segmentation.scores import evaluate

from tests.tasks import scenes

morphology = pytest.importorskip("skimage.morphology")


def _edge(mask: Any) -> Any:
    """A pixel whose right, lower or lower right neighbour is on the other side."""
    edge = np.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return edge


def _davis(predicted: Any, true: Any, tolerance: float) -> float | None:
    """F of one mask by dilation with a disk, as the evaluation code of DAVIS has it; None: neither
    has a boundary.
    """
    disk = morphology.disk(int(np.ceil(tolerance * np.linalg.norm(true.shape))))
    ours, theirs = _edge(predicted), _edge(true)
    if not ours.any() and not theirs.any():
        return None
    if not ours.any() or not theirs.any():
        return 0.0
    precision = (ours & morphology.dilation(theirs, disk)).sum() / ours.sum()
    recall = (theirs & morphology.dilation(ours, disk)).sum() / theirs.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    side=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    tolerance=st.sampled_from([0.008, 0.03, 0.1]),
    coarse=st.integers(1, 9),
)
def test_it_is_that_of_davis_for_each_class(
    seed: int, side: tuple[int, int], tolerance: float, coarse: int
) -> None:
    """Random maps, from noise to large fields."""
    random = np.random.default_rng(seed)

    def drawn() -> Any:
        small = random.integers(0, 4, (-(-side[0] // coarse), -(-side[1] // coarse)))
        return np.kron(small, np.ones((coarse, coarse), int))[: side[0], : side[1]]

    predicted, true = drawn(), drawn()
    scores = [_davis(predicted == label, true == label, tolerance) for label in range(4)]
    known = [score for score in scores if score is not None]
    ours = boundary_f(predicted, true, np.zeros(side, bool), tolerance, 4)
    if not known:
        assert ours is None
    else:
        assert ours == pytest.approx(np.mean(known), abs=1e-6)


def test_ignored_pixels_have_no_boundary() -> None:
    """Neither that of the ignored region, nor one that is predicted inside of it."""
    true = np.zeros((40, 40), int)
    true[:, 20:] = 1
    ignored = np.zeros((40, 40), bool)
    ignored[10:30] = True
    predicted = true.copy()
    predicted[15:25, 5:10] = 1
    assert boundary_f(predicted, true, ignored, 0.008, 2) == 1.0
    counted = boundary_f(predicted, true, np.zeros((40, 40), bool), 0.008, 2)
    assert counted is not None
    assert counted < 1.0


def test_a_shift_beyond_the_tolerance_counts() -> None:
    """A pixel (0.008 of 40 pixels, rounded up) is accepted, three are not; they are where the data
    declares a larger tolerance.
    """

    def shifted(pixels: int, **more: Any) -> float:
        maps = [np.where(mask == 255, 0, mask) for mask in map(scenes.blocks, range(12))]
        moved = [np.pad(one, ((pixels, 0), (0, 0)), mode="edge")[: len(one)] for one in maps]
        accuracy = evaluate(scenes.data(**more), [scenes.segments(one) for one in moved])
        return accuracy.values["boundary_f"]

    assert shifted(0) == 1.0
    assert shifted(1) > 0.9 > shifted(3)
    assert shifted(3, boundary_tolerance=0.1) > 0.9


def test_maps_without_boundaries_have_none() -> None:
    """It is not measured, and the reason is kept."""
    masks = [np.zeros((24, 32), np.uint8)] * 2
    accuracy = evaluate(scenes.data(2, masks=masks), [scenes.segments(masks[0])] * 2)
    assert "boundary_f" not in accuracy.values
    assert "no mask and no prediction has a boundary" in accuracy.unmeasured["boundary_f"]
    assert accuracy.values["miou"] == 1.0
