"""Values of the network's input: order of channels, scale, mean and standard deviation."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.tasks.input_options import Input


class Values:
    """Pixels as numbers, as `[suite.input]` declares them."""

    def __init__(self, options: Input) -> None:
        import numpy as np

        self._reverse = options.color == "BGR"
        self._plain = options.mean == (0.0, 0.0, 0.0) and options.std == (1.0, 1.0, 1.0)
        self._mean = np.array(options.mean, dtype=np.float32)
        self._gain = 1.0 / np.array(options.std, dtype=np.float32)
        padding = np.full((1, 1, 3), options.pad_value, dtype=np.uint8)
        self._padding = np.zeros((3, 1, 1), dtype=np.float32)
        self.write(padding, self._padding)  # padding is a pixel like any other

    def blank(self, count: int, height: int, width: int) -> Any:
        """A network input of padding, float32 (count, 3, height, width)."""
        import numpy as np

        batch = np.zeros((count, 3, height, width), dtype=np.float32)
        if self._padding.any():
            batch += self._padding
        return batch

    def write(self, pixels: Any, planes: Any) -> None:
        """Writes uint8 (h, w, 3) RGB pixels to a part of a network input, float32 (3, h, w)."""
        import numpy as np

        ordered = pixels[:, :, ::-1] if self._reverse else pixels
        for channel, plane in enumerate(planes):  # a plane at once: 1.7 times as fast
            np.multiply(ordered[:, :, channel], np.float32(1.0 / 255.0), out=plane)
            if not self._plain:
                np.subtract(plane, self._mean[channel], out=plane)
                np.multiply(plane, self._gain[channel], out=plane)
