"""A project's own post-processing of instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.instances.data import as_masks

from tests.tasks.mask_scenes import predicted

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")


def test_masks_of_an_own_function_are_taken() -> None:
    """As arrays, best first afterwards, without those that have no pixel; or as they are."""
    masks = np.zeros((3, 8, 9), bool)
    masks[0, 2:5, 1:4] = masks[2, :, :2] = True
    result = as_masks((masks, np.array([0.2, 0.9, 0.7]), np.array([4, 5, 6])))
    assert result.categories.tolist() == [6, 4]
    assert result.boxes.tolist() == [[0, 0, 2, 8], [1, 2, 4, 5]]
    np.testing.assert_array_equal(result.masks.pixels(1), masks[0])
    whole = predicted([masks[0, :8, :8]], [0.5], [1], side=8)
    assert as_masks(whole).content() == whole.content()


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((3, 8, 8)),
        (np.zeros((2, 8, 8)), np.zeros(2), np.zeros(2, int)),
        (np.zeros((2, 8, 8), bool), np.zeros(3), np.zeros(3, int)),
        (np.zeros((2, 8, 8), bool), np.array([0.1, np.nan]), np.zeros(2, int)),
        (np.zeros((2, 8, 8), bool), np.zeros(2), np.array([0, -1])),
    ],
)
def test_what_is_no_prediction_is_refused(value: Any) -> None:
    """With what is valid."""
    with pytest.raises(DataError, match=r"valid: "):
        as_masks(value)
