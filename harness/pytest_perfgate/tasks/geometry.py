"""Where a picture lies in the network's input: sizes, offsets and scales, without any pixels."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfgate.tasks.input_options import Input


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

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width of the whole picture in the network's input, padding excluded."""
        (x_scale, y_scale), (height, width) = self.scale, self.original
        return round(height * y_scale), round(width * x_scale)


class Geometry:
    """Places pictures as `[suite.input]` declares it."""

    def __init__(self, options: Input) -> None:
        self._options = options

    def place(self, height: int, width: int) -> Placed:
        """The place of a picture of that many rows and columns."""
        options = self._options
        inner, canvas = (height, width), options.size or (height, width)
        if options.size not in {None, inner}:
            inner = canvas
            if options.resize == "letterbox":
                scale = min(canvas[0] / height, canvas[1] / width)
                inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        left, top = 0, 0
        if options.pad == "around":  # an odd pixel goes right and below
            left, top = (canvas[1] - inner[1]) // 2, (canvas[0] - inner[0]) // 2
        step = options.multiple
        network = (-(-canvas[0] // step) * step, -(-canvas[1] // step) * step)
        scales = (inner[1] / width, inner[0] / height)
        return Placed(scales, (height, width), network, (left, top))
