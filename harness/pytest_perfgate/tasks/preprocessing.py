"""What every task does before inference: decoded pixels to the network's input, as declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import DataError

_Side = Annotated[int, Field(ge=1, le=65_536)]
_Mean = Annotated[float, Field(ge=-1e6, le=1e6)]
_Deviation = Annotated[float, Field(ge=1e-6, le=1e6)]  # pixels are divided by it, in float32


class Input(OptionsModel):
    """How decoded pixels become the network's input: `[suite.input]`."""

    size: tuple[_Side, _Side] | None = Field(
        None, description="height and width; default: those of the image"
    )
    resize: Literal["stretch", "letterbox"] = Field(
        "stretch", description="method of resizing to `size`"
    )
    multiple: int = Field(
        1, ge=1, le=4_096, description="pad height and width up to a multiple of this"
    )
    pad_value: int = Field(0, ge=0, le=255, description="value of padded pixels; often 114")
    pad: Literal["end", "around"] = Field(
        "end",
        description='where `letterbox` pads: "end", right and below; "around", the picture is in '
        "the middle",
    )
    color: Literal["RGB", "BGR"] = Field("RGB", description="order of the channels")
    mean: tuple[_Mean, _Mean, _Mean] = Field(
        (0.0, 0.0, 0.0), description="mean of each channel, on the scale 0 to 1"
    )
    std: tuple[_Deviation, _Deviation, _Deviation] = Field(
        (1.0, 1.0, 1.0), description="standard deviation of each channel, on the scale 0 to 1"
    )


@dataclass(frozen=True)
class Placed:
    """How an image lies in the network's input, in pixels.

    Attributes:
        scale: of x and y, from the image to the input.
        original: height and width of the image.
        network: height and width of the whole input, padding included.
        offset: x and y of the image's corner in the input.
    """

    scale: tuple[float, float]
    original: tuple[int, int]
    network: tuple[int, int] = (0, 0)
    offset: tuple[int, int] = (0, 0)


class Pixels:
    """Resizing, padding and normalisation, as `[suite.input]` asks for."""

    def __init__(self, options: Input) -> None:
        import numpy as np

        self._options = options
        self._plain = options.mean == (0.0, 0.0, 0.0) and options.std == (1.0, 1.0, 1.0)
        self._mean = np.array(options.mean, dtype=np.float32)[:, None, None]
        self._gain = 1.0 / np.array(options.std, dtype=np.float32)[:, None, None]

    def read(self, images: Sequence[Any]) -> tuple[Any, tuple[Placed, ...]]:
        """Uint8 (H, W, 3) images to float32 (N, 3, h, w), and how each was placed in it."""
        import numpy as np

        placed = [self._place(image) for image in images]
        height, width = placed[0][0].shape[:2]
        step = self._options.multiple
        height, width = -(-height // step) * step, -(-width // step) * step
        batch = np.zeros((len(images), 3, height, width), dtype=np.float32)
        if self._options.pad_value:
            batch += np.float32(self._options.pad_value / 255.0)
        for row, (image, _) in enumerate(placed):
            if image.shape != placed[0][0].shape:
                raise DataError(
                    f"images of different sizes cannot share a batch: {image.shape[:2]} and "
                    f"{placed[0][0].shape[:2]}",
                    where="suite.input.size",
                    next_step="set size = [height, width]",
                )
            pixels = image[:, :, ::-1] if self._options.color == "BGR" else image
            inner = batch[row, :, : image.shape[0], : image.shape[1]]
            for channel, plane in enumerate(inner):  # a plane at once: 1.7 times as fast
                np.multiply(pixels[:, :, channel], np.float32(1.0 / 255.0), out=plane)
        if not self._plain:  # padding is a pixel like any other
            batch -= self._mean
            batch *= self._gain
        return batch, tuple(replace(where, network=(height, width)) for _, where in placed)

    def _place(self, image: Any) -> tuple[Any, Placed]:
        height, width = image.shape[:2]
        if self._options.size is None or self._options.size == (height, width):
            return image, Placed((1.0, 1.0), (height, width))
        import numpy as np
        from PIL import Image

        to_height, to_width = self._options.size
        if self._options.resize == "letterbox":
            scale = min(to_height / height, to_width / width)
            inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        else:
            inner = (to_width, to_height)
        small = np.asarray(Image.fromarray(image).resize(inner, Image.Resampling.BILINEAR))
        placed = Placed((inner[0] / width, inner[1] / height), (height, width))
        if inner != (to_width, to_height):
            left, top = 0, 0
            if self._options.pad == "around":  # an odd pixel goes right and below
                left, top = (to_width - inner[0]) // 2, (to_height - inner[1]) // 2
            canvas = np.full((to_height, to_width, 3), self._options.pad_value, dtype=np.uint8)
            canvas[top : top + inner[1], left : left + inner[0]] = small
            return canvas, replace(placed, offset=(left, top))
        return small, placed
