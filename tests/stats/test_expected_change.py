"""Limits that images will likely decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pytest_perfgate.stats import expected_change

ALPHA = 0.1


def objects(images: int, categories: int = 3) -> expected_change.Objects:
    """Two objects an image."""
    random = np.random.default_rng(1)
    counts = np.zeros((images, categories), dtype=np.int64)
    for row in counts:
        np.add.at(row, random.integers(0, categories, 2), 1)
    return counts


def test_more_images_decide_less() -> None:
    """And of any number of images a recipe that loses one object of all is decided."""
    drops = [expected_change.precision_drop(objects(count), ALPHA) for count in (8, 24, 100)]
    assert drops == sorted(drops, reverse=True)
    for count, drop in zip((8, 24, 100), drops, strict=True):
        assert drop > 1 / (2 * count)
    shares = [expected_change.share_drop(count, ALPHA) for count in (8, 24, 100, 1000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(0.0075, abs=0.002)  # 1.64 sqrt(0.02 / 1000), and rounding


def test_floors_and_ceilings_close_in_on_what_is_assumed() -> None:
    """With many images the bounds are the assumed change itself."""
    assert expected_change.agreement_floor(5000, ALPHA) == pytest.approx(0.976, abs=0.002)
    assert expected_change.agreement_floor(24, ALPHA) < 0.9
    assert expected_change.shift_ceiling(5000, ALPHA) == pytest.approx(0.0206, abs=0.001)
    assert expected_change.shift_ceiling(24, ALPHA) > 0.05


def test_one_image_decides_nothing() -> None:
    """It says nothing of how images differ."""
    assert math.isinf(expected_change.share_drop(1, ALPHA))
    assert math.isinf(expected_change.rounded(expected_change.share_drop(1, ALPHA), up=True))


@pytest.mark.parametrize(
    ("value", "up", "rounded"),
    [
        (0.0123, True, 0.013),
        (0.0123, False, 0.012),
        (0.13, True, 0.13),
        (0.9999, True, 1.0),
        (0.837, False, 0.83),
        (-0.2, False, 0.0),
    ],
)
def test_limits_have_two_digits(value: float, up: bool, rounded: float) -> None:
    """Up where more is allowed, down where less is asked for."""
    assert expected_change.rounded(value, up=up) == rounded
