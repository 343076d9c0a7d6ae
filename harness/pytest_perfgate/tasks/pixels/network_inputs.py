"""From prepared pixels to a network's arrays: their type and layout, inputs beside the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.inputs import Inputs, as_dtype
from pytest_perfgate.tasks.pixels.geometry import Placed
from pytest_perfgate.tasks.pixels.input_options import Input

RULES: Mapping[str, Callable[[Placed], tuple[float, float]]] = {
    "original_size": lambda place: place.original,
    "network_size": lambda place: place.network,
    "resized_size": lambda place: place.resized,
    "scale": lambda place: (place.scale[1], place.scale[0]),
}
"""What each rule computes for one image, of y and of x."""


class NetworkInputs:
    """The arrays of a network, as `[suite.input]` declares them."""

    def __init__(self, options: Input) -> None:
        self._options = options
        self._constants = {
            name: other.constant()
            for name, other in options.others.items()
            if other.value is not None
        }
        self._whole_batch = frozenset(
            name for name in self._constants if not options.others[name].per_image
        )

    def of(self, batch: Any, placed: Sequence[Placed]) -> Inputs:
        """The inputs for images.

        Args:
            batch: prepared pixels (N, C, h, w), float32, or uint8 as they are.
            placed: how each image lies in it; with `preprocess` what the function says of it.

        Raises:
            DataError: a rule needs to know how an image lies, and the function does not say it.
            InputError: the function gives another type than the network takes.
        """
        import numpy as np

        images = self._typed(batch)
        layout = self._options.layout or "NCHW"
        if layout == "NHWC":
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        others = {name: self._other(name, placed) for name in self._options.others}
        return Inputs(images, others, self._whole_batch, layout)

    def _typed(self, batch: Any) -> Any:
        import numpy as np

        dtype = self._options.dtype or "float32"
        if batch.dtype.name == dtype:
            return batch
        if dtype == "int8" and self._options.codes is not None:
            codes = self._options.codes
            scaled = np.rint(batch / np.float32(codes.scale)) + codes.zero_point
            return np.clip(scaled, -128, 127).astype(np.int8)
        return as_dtype(batch, dtype, "the network takes")

    def _other(self, name: str, placed: Sequence[Placed]) -> Any:
        import numpy as np

        other = self._options.others[name]
        if other.rule is None:
            constant = self._constants[name]
            return np.stack([constant] * len(placed)) if other.per_image else constant
        for place in placed:
            if not isinstance(place, Placed):
                raise DataError(
                    f"{self._options.preprocess} returned {type(place).__name__} beside the array, "
                    f"and the rule {other.rule!r} needs an image's size",
                    where=f"suite.input.others.{name}",
                    valid="a pytest_perfgate.tasks.pixels.geometry.Placed",
                )
        pairs = [RULES[other.rule](place) for place in placed]
        ordered = [pair if other.order == "hw" else pair[::-1] for pair in pairs]
        return np.array(ordered, dtype=other.numpy_type)
