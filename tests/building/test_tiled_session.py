"""The tiles of a picture run some at a time, and count as one inference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.building.tiled_session import tiled
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes import InferenceSession

TILES = {"resize": "tiles", "tile_batch": 2}


class Doubles(InferenceSession):
    """Twice its images, one table; runs take a second each on its device."""

    def __init__(self, fixed_batch: int = 0, *, flat: bool = False) -> None:
        self.facts = {"device": "there"}
        self.fixed_batch = fixed_batch
        self.batches: list[int] = []
        self._flat = flat

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See the class."""
        self.batches.append(len(inputs))
        output = inputs.images * 2
        return (output.sum(axis=(0, 1, 2)) if self._flat else output,)

    def device_seconds(self) -> float:
        """Of each run."""
        return 1.0

    def profile(self, inputs: Inputs, count: int) -> list[Operator]:
        """One operator."""
        return [Operator(name="mul", kind="Mul", calls=1, seconds=float(len(inputs) * count))]


IMAGES = np.arange(5 * 2, dtype=np.float32).reshape(5, 1, 2, 1)


@pytest.mark.parametrize(("fixed", "batches"), [(0, [2, 2, 1]), (2, [2, 2, 2])])
def test_tiles_run_some_at_a_time(fixed: int, batches: list[int]) -> None:
    """Outputs are those of all tiles, the device's time that of all runs; a fixed batch is filled
    up.
    """
    session = Doubles(fixed)
    ours = tiled(session, TILES)
    others = {"sizes": np.arange(5)}
    (output,) = ours.run(Inputs(IMAGES, others))
    assert np.array_equal(output, IMAGES * 2)
    assert session.batches == batches
    assert ours.device_seconds() == 3.0
    assert ours.fixed_batch == 0
    assert ours.facts == session.facts
    (operator,) = ours.profile(Inputs(IMAGES), 1) or []
    assert (operator.calls, operator.seconds) == (3, 6.0)


def test_what_cannot_run_in_tiles_is_an_error() -> None:
    """Another fixed batch, and outputs without a row for each tile."""
    with pytest.raises(RuntimeFault, match="takes batches of 4") as caught:
        tiled(Doubles(4), TILES)
    assert "tile_batch = 4" in caught.value.valid
    with pytest.raises(RuntimeFault, match="no row for each tile"):
        tiled(Doubles(flat=True), TILES).run(Inputs(IMAGES))


def test_without_tiles_the_session_is_as_it_is() -> None:
    """Nothing lies between."""
    session = Doubles()
    assert tiled(session, {"resize": "letterbox"}) is session
