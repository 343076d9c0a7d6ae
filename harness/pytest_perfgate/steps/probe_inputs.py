"""Inputs on which runtimes that compute something else show it."""

from __future__ import annotations

from typing import Any

LARGE = 10.0
"""How many times the range of the images the largest probes take."""

_IMAGES = 4


def probes(images: Any) -> dict[str, Any]:
    """Network inputs of one image each by what they are, the same for the same `images`.

    - Real images are what a recipe is judged on.
    - Zeros and ones leave biases, padding and zero points alone with themselves.
    - The darkest and the brightest image are the ends of the range, and noise of both ends at every
      pixel drives each filter to the end of the range that calibration has seen, and beyond: codes
      saturate, and what a fused operator no longer clips shows.
    - Noise at ten times the range is where exponentials overflow.

    Args:
        images: float32 (N, 3, H, W); their lowest and highest value in each channel are the range.

    Returns:
        arrays float32 (1, 3, H, W).
    """
    import numpy as np

    images = np.asarray(images, dtype=np.float32)
    shape = (1, *images.shape[1:])
    low = np.broadcast_to(images.min(axis=(0, 2, 3), keepdims=True), shape)
    high = np.broadcast_to(images.max(axis=(0, 2, 3), keepdims=True), shape)
    noise = np.where(np.random.default_rng(0).random(shape) < 0.5, low, high)
    named = {f"image {index}": images[index : index + 1] for index in range(len(images[:_IMAGES]))}
    named |= {
        "zeros": np.zeros(shape),
        "ones": np.ones(shape),
        "the lowest values of the images": low,
        "the highest values of the images": high,
        "noise of the lowest and highest values": noise,
        f"noise, {LARGE:g} times the range": LARGE * noise,
        f"noise, {-LARGE:g} times the range": -LARGE * noise,
    }
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in named.items()}
