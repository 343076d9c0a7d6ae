"""Numbers of a picture as a whole: what they are, and that few pixels are read for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.stats.image_statistics import NAMES, PIXELS, grid, statistics


def _numbers(image):
    return dict(zip(NAMES, statistics(grid(image), image.shape[:2]), strict=True))


def test_statistics_are_those_of_the_picture():
    """Means and deviations are in levels of each channel, sides in pixels."""
    image = np.zeros((40, 30, 3), dtype=np.uint8)
    image[..., 0], image[:20, :, 1] = 100, 200
    numbers = _numbers(image)
    assert numbers["red_mean"] == 100
    assert numbers["red_deviation"] == numbers["blue_deviation"] == 0
    assert numbers["green_mean"] == numbers["green_deviation"] == 100
    assert numbers["brightness"] == pytest.approx(0.299 * 100 + 0.587 * 100)
    assert (numbers["width"], numbers["height"]) == (30, 40)


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_the_grid_is_small_whatever_the_size(height, width):
    """A large picture and a strip of one row have about as many pixels in their grid."""
    image = np.broadcast_to(np.uint8(7), (height, width, 3))
    pixels = grid(image)
    count = pixels.shape[0] * pixels.shape[1]
    assert min(height * width, PIXELS // 4) <= count <= 2 * PIXELS
    assert pixels.base is None


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), "picture"],
)
def test_what_is_no_picture_is_refused(image):
    """Floats, grey levels, no pixels and texts are no pictures."""
    with pytest.raises(ValueError, match="picture"):
        grid(image)
