"""How inputs are drawn and outputs compared, on sessions that are plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.output_check import NOTHING_IN_COMMON, difference
from pytest_perfgate.worker.parity import Drawn, search

IMAGES = Inputs(np.random.default_rng(0).random((4, 3, 64, 64), dtype=np.float32))

ARRAYS = arrays.arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32))


class Session:
    """Means of each channel, changed by a function of inputs and outputs."""

    def __init__(self, change: Callable[[Any, Any], Any] = lambda _, outputs: outputs) -> None:
        self.facts: dict[str, Any] = {}
        self._change = change
        self.seen: list[tuple[int, ...]] = []

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """(N, 3)."""
        batch = inputs.images
        self.seen.append(batch.shape)
        return (self._change(batch, batch.mean(axis=(2, 3))),)

    def close(self) -> None:
        """Nothing to close."""


def test_all_kinds_of_inputs_are_tried() -> None:
    """Batches up to the suite's, and the three resolutions that an open graph takes."""
    mine = Session()
    found = search(Session(), mine, IMAGES, 0.01)
    assert {shape[0] for shape in mine.seen} == {1, 2, 3, 4}
    assert {shape[2:] for shape in mine.seen} == {(64, 64), (32, 32), (96, 96)}
    assert (found.value, found.smallest) == (0.0, "")
    assert found.sizes == ((64, 64), (32, 32), (96, 96))


def test_the_same_inputs_are_drawn_every_time() -> None:
    """Twice the same answer: a verdict does not depend on luck."""

    def noisy(batch: Any, outputs: Any) -> Any:
        return outputs * (1 + 0.1 * np.float32(batch.std()))

    once, again = (search(Session(), Session(noisy), IMAGES, 0.01) for _ in range(2))
    assert once == again
    assert once.value > 0.01
    assert once.smallest


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda batch, outputs: outputs + (len(batch) > 2), "batch 3"),
        (lambda batch, outputs: outputs + (batch.shape[2] == 96), "batch 1, 96 x 96"),
        (lambda batch, outputs: outputs + (batch.std() > 0.1), "gradient"),
        (lambda _, outputs: outputs * np.nan, "output 0 is not finite"),
        (lambda batch, outputs: outputs[: 1 + (len(batch) < 2)], "output 0 has the shape (1, 3)"),
    ],
)
def test_the_smallest_input_that_breaks_it_is_found(change: Any, part: str) -> None:
    """What it takes to break it, and no more, is in the words."""
    found = search(Session(), Session(change), IMAGES, 0.01)
    assert part in found.smallest


@given(ARRAYS, ARRAYS)
def test_a_difference_is_symmetric_and_bounded(one: Any, other: Any) -> None:
    """d(a, b) = d(b, a), from 0 for equal arrays to 2."""
    there, back = difference(one, other), difference(other, one)
    assert there == back
    assert 0 <= there <= NOTHING_IN_COMMON
    assert difference(one, one) == 0


@given(ARRAYS, ARRAYS, st.integers(-8, 8))
def test_a_difference_does_not_depend_on_the_scale(one: Any, other: Any, power: int) -> None:
    """Outputs in other units (by a power of two) are as far apart."""
    scale = 2.0**power
    found = difference(np.float64(one) * scale, np.float64(other) * scale)
    assert found == pytest.approx(difference(one, other))


def flat(batch: Any, outputs: Any) -> Any:
    """Next to nothing where there is nothing to see."""
    return outputs * np.where(batch.std() < 1e-6, np.float32(1e-6), 1)


def test_rounding_where_nothing_is_seen_is_no_difference() -> None:
    """Outputs of flat images are held to the size of those of the suite's own."""
    rounded = Session(lambda batch, outputs: flat(batch, outputs) + np.float32(1e-7))
    assert search(Session(flat), rounded, IMAGES, 0.001).value < 1e-6


def test_what_is_seen_where_nothing_is_breaks_it() -> None:
    """Half of the usual size on flat images is not rounding."""
    sees = Session(lambda batch, outputs: outputs / 2 if batch.std() < 1e-6 else outputs)
    found = search(Session(flat), sees, IMAGES, 0.001)
    assert found.value > 0.01
    assert "all values" in found.smallest


def test_an_image_is_a_validation_image_at_its_own_resolution_only() -> None:
    """At another one there is none, and noise takes its place."""
    own = Drawn(2, 64, 64, "image", 0.0, 1.0, 0).inputs(IMAGES).images
    other = Drawn(2, 32, 32, "image", 0.0, 1.0, 0).inputs(IMAGES).images
    assert np.array_equal(own, IMAGES.images[:2])
    assert other.shape == (2, 3, 32, 32)
    assert other.std() > 0.2


def detections(_batch: Any, outputs: Any) -> Any:
    """(N, 20, 6): rows of an image's own mean, by falling scores."""
    rows = np.random.default_rng(0).random((20, 6), dtype=np.float32)
    rows[:, 4] = np.linspace(0.9, 0.1, 20)
    return rows + outputs[:, :1, None]


def test_detections_in_another_order_are_the_same() -> None:
    """What suppresses decides between nearly equal scores; the images keep their places."""
    turned = Session(lambda batch, outputs: detections(batch, outputs)[:, ::-1])
    assert search(Session(detections), turned, IMAGES, 0.001).value == 0.0
    mixed = Session(lambda batch, outputs: detections(batch, outputs[::-1]))
    assert search(Session(detections), mixed, IMAGES, 0.001).value > 0.001
    fewer = Session(lambda batch, outputs: detections(batch, outputs)[:, :-1])
    found = search(Session(detections), fewer, IMAGES, 0.001)
    assert "output 0 has the shape (1, 19, 6)" in found.smallest
