"""Inputs on which runtimes that compute something else show it."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.inputs import Inputs

LARGE = 10.0
"""How many times the range of the images the largest probes take."""

_IMAGES = 4
_REAL = "image "


def probes(inputs: Inputs) -> dict[str, Inputs]:
    """Network inputs of one image each by what they are, the same for the same `inputs`. Inputs
    besides the images are those of the first image, but for real images.

    - Real images are what a recipe is judged on.
    - Zeros and ones leave biases, padding and zero points alone with themselves.
    - The darkest and the brightest image are the ends of the range, and noise of both ends at every
      pixel drives each filter to the end of the range that calibration has seen, and beyond: codes
      saturate, and what a fused operator no longer clips shows.
    - Noise at ten times the range is where exponentials overflow.

    Args:
        inputs: the images' lowest and highest value in each channel are the range.
    """
    import numpy as np

    images = inputs.images
    others = tuple(axis for axis in range(images.ndim) if axis != inputs.channels)
    shape = (1, *images.shape[1:])
    low = np.broadcast_to(images.min(axis=others, keepdims=True), shape)
    high = np.broadcast_to(images.max(axis=others, keepdims=True), shape)
    noise = np.where(np.random.default_rng(0).random(shape) < 0.5, low, high)
    named = {
        "zeros": np.zeros(shape),
        "ones": np.ones(shape),
        "the lowest values of the images": low,
        "the highest values of the images": high,
        "noise of the lowest and highest values": noise,
        f"noise, {LARGE:g} times the range": LARGE * noise,
        f"noise, {-LARGE:g} times the range": -LARGE * noise,
    }
    real = {f"{_REAL}{index}": inputs.take([index]) for index in range(len(images[:_IMAGES]))}
    return real | {name: inputs.showing(_typed(values, images)) for name, values in named.items()}


def is_real(name: str) -> bool:
    """Whether the probe of this name is a real image."""
    return name.startswith(_REAL)


def _typed(values: Any, images: Any) -> Any:
    """In the type of the images; what lies beyond the range of bytes is its end."""
    import numpy as np

    if images.dtype.kind != "f":
        ends = np.iinfo(images.dtype)
        values = np.clip(values, ends.min, ends.max)
    return np.ascontiguousarray(values, dtype=images.dtype)
