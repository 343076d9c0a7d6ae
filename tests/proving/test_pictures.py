"""Faults in pictures and in the network's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.proving.pictures import INPUTS, PICTURES

SIDES = st.integers(2, 9)
IMAGES = st.tuples(SIDES, SIDES).flatmap(lambda size: arrays(np.uint8, (*size, 3)))


@pytest.mark.parametrize("name", sorted(PICTURES))
@given(image=IMAGES)
def test_a_picture_keeps_its_size_and_the_original_its_pixels(name: str, image: Any) -> None:
    """A fault gives another picture of the same size, and leaves that of the data alone."""
    before = image.copy()
    after = PICTURES[name](image)
    assert (after.shape, after.dtype) == (image.shape, image.dtype)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", ["swapped_channels", "mirrored", "upside_down"])
@given(image=IMAGES)
def test_what_is_swapped_twice_is_as_before(name: str, image: Any) -> None:
    """Channels, sides and orientation change places."""
    assert np.array_equal(PICTURES[name](PICTURES[name](image)), image)


def test_what_each_fault_does_to_a_picture() -> None:
    """Red is blue, left is right, above is below, colours are grey, borders black."""
    image = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    assert PICTURES["swapped_channels"](image)[0, 0].tolist() == image[0, 0, ::-1].tolist()
    assert np.array_equal(PICTURES["mirrored"](image)[:, 0], image[:, -1])
    assert np.array_equal(PICTURES["upside_down"](image)[0, 0], image[-1, -1])
    grey = PICTURES["grey"](image)
    assert np.array_equal(grey[:, :, 0], grey[:, :, 2])
    assert grey[0, 0, 0] == image[0, 0].mean()
    cropped = PICTURES["cropped"](image)
    assert not cropped[:2].any()
    assert not cropped[:, -2:].any()
    assert np.array_equal(cropped[2:-2, 2:-2], image[2:-2, 2:-2])
    coarse = PICTURES["wrong_resize"](image)
    assert np.array_equal(coarse[0, 0], coarse[1, 1])
    assert not np.array_equal(coarse, image)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_the_input_is_brighter_or_twice_as_large(dtype: str) -> None:
    """The mean is off by 32 of 255 in the units of the input, which keeps its type."""
    picture = np.random.default_rng(0).integers(0, 200, (8, 8, 3), dtype=np.uint8)
    scale = 1.0 if dtype == "uint8" else 255.0
    images = (picture.transpose(2, 0, 1)[None] / scale).astype(dtype)
    brighter = INPUTS["wrong_mean"](Inputs(images), [picture]).images
    double = INPUTS["wrong_scale"](Inputs(images), [picture]).images
    assert brighter.dtype == double.dtype == images.dtype
    off = (brighter.astype(float) - images.astype(float)).mean() * scale
    assert off == pytest.approx(32, rel=0.02)
    expected = np.clip(images.astype(float) * 2, None, 255 if dtype == "uint8" else None)
    assert np.allclose(double.astype(float), expected, rtol=1e-3)
