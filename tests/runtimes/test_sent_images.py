"""Images as files: a service gets the pixels that the network would."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import InputError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes.http_service import HttpOptions
from pytest_perfgate.runtimes.sent_images import body_of, encoded, pixels

Image = pytest.importorskip("PIL.Image", reason="python -m pip install pillow")

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "layout", "scale"),
    [
        (PIXELS.transpose(2, 0, 1), "NCHW", 1),
        (PIXELS, "NHWC", 1),
        ((PIXELS / 255).astype(np.float32), "NHWC", 1),
        ((PIXELS / 255).astype(np.float16), "NHWC", 1),
        (PIXELS.astype(np.float32), "NHWC", 255),
    ],
)
def test_a_file_holds_the_pixels(image: Any, layout: str, scale: float) -> None:
    """From bytes and floats of both scales and both orders of axes; none is off by one."""
    file = encoded(pixels(image, layout, scale, "RGB"), "png", 95)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), PIXELS)


def test_channels_are_turned_and_others_kept() -> None:
    """BGR becomes RGB; one channel is grey, four are RGBA, which JPEG does not have."""
    turned = pixels(PIXELS[:, :, ::-1], "NHWC", 1, "BGR")
    assert np.array_equal(turned, PIXELS)
    grey = encoded(pixels(PIXELS[:, :, :1], "NHWC", 1, "RGB"), "png", 95)
    assert Image.open(io.BytesIO(grey)).mode == "L"
    four = np.concatenate([PIXELS, PIXELS[:, :, :1]], axis=2)
    assert Image.open(io.BytesIO(encoded(four, "png", 95))).mode == "RGBA"
    with pytest.raises(InputError, match="JPEG has no 4 channels"):
        encoded(four, "jpeg", 95)


@pytest.mark.parametrize(
    "image",
    [
        (PIXELS / 255 - 0.5) / 0.25,
        PIXELS / 255 + 0.002,
        PIXELS.astype(np.float64),
        np.full((2, 2, 3), np.nan),
        PIXELS.view(np.int8),
    ],
)
def test_values_that_are_no_pixels_are_refused(image: Any) -> None:
    """Of a normalised image: a service would see another picture than the network."""
    with pytest.raises(InputError, match="no pixels") as caught:
        pixels(image.astype(np.float32), "NHWC", 1, "RGB")
    assert caught.value.where == "suite.input"


def test_other_inputs_are_refused() -> None:
    """A request has images alone."""
    options = HttpOptions.model_validate({"url": "http://127.0.0.1", "outputs": [{"field": "x"}]})
    with pytest.raises(InputError, match="the runtime http takes one input"):
        body_of(Inputs(PIXELS[None], {"size": np.ones(1)}), options)
