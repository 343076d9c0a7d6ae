"""Faults in decoded pictures and in the network's input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pytest_perfgate.inputs import Inputs

Picture = Callable[[Any], Any]

_OFF_BY = 32.0  # of 255: a dark or a bright photograph


def swap_channels(image: Any) -> Any:
    """Red and blue of uint8 (H, W, 3) change places."""
    return image[:, :, ::-1]


def halve_resolution(image: Any) -> Any:
    """Every second pixel of uint8 (H, W, 3), enlarged again by nearest neighbour."""
    height, width = image.shape[:2]
    return image[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


def mirror(image: Any) -> Any:
    """Left and right of uint8 (H, W, 3) change places."""
    return image[:, ::-1]


def turn_over(image: Any) -> Any:
    """Uint8 (H, W, 3) turned by 180 degrees, as by an orientation that is not read."""
    return image[::-1, ::-1]


def grey(image: Any) -> Any:
    """The mean of the channels of uint8 (H, W, 3) in each of them."""
    import numpy as np

    mean = image.mean(axis=2, keepdims=True).astype(np.uint8)
    return np.repeat(mean, image.shape[2], axis=2)


def black_border(image: Any) -> Any:
    """Uint8 (H, W, 3) with an eighth of each side black."""
    height, width = (max(1, side // 8) for side in image.shape[:2])
    result = image.copy()
    result[:height], result[-height:] = 0, 0
    result[:, :width], result[:, -width:] = 0, 0
    return result


PICTURES: Mapping[str, Picture] = MappingProxyType(
    {
        "swapped_channels": swap_channels,
        "wrong_resize": halve_resolution,
        "mirrored": mirror,
        "upside_down": turn_over,
        "grey": grey,
        "cropped": black_border,
    }
)


def shift_mean(inputs: Inputs, pictures: Any) -> Inputs:
    """The images of `inputs` brighter by 32 of 255, in the units that they have.

    Args:
        inputs: of the network.
        pictures: decoded, uint8 (H, W, 3) each: their spread says what a unit of the input is.
    """
    import numpy as np

    spread = float(np.mean([picture.std() for picture in pictures]))
    unit = float(np.asarray(inputs.images, dtype=np.float64).std()) / max(spread, 1.0)
    return replace(inputs, images=_as(inputs.images, inputs.images + _OFF_BY * unit))


def double(inputs: Inputs, pictures: Any) -> Inputs:  # noqa: ARG001 - one signature for both
    """The images of `inputs` times two, as by a wrong standard deviation."""
    import numpy as np

    return replace(inputs, images=_as(inputs.images, np.asarray(inputs.images, np.float64) * 2))


def _as(images: Any, values: Any) -> Any:
    """`values` in the type of `images`; whole numbers stay within what their type holds."""
    import numpy as np

    if images.dtype.kind == "f":
        return values.astype(images.dtype)
    ends = np.iinfo(images.dtype)
    return np.clip(np.rint(values), ends.min, ends.max).astype(images.dtype)


INPUTS: Mapping[str, Callable[[Inputs, Any], Inputs]] = MappingProxyType(
    {"wrong_mean": shift_mean, "wrong_scale": double}
)
