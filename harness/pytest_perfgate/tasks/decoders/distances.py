"""Decoders of heads that tell a box in distances from the middle of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate.tasks.decoders import Classes, Decoder, above, other_shapes
from pytest_perfgate.tasks.decoders.anchors import (
    STRIDES,
    Strides,
    cells,
    refuse_other_count,
)

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Decoded
    from pytest_perfgate.tasks.pixels.geometry import Placed


class Picodet(Decoder):
    """Two outputs for each stride, as PaddleDetection exports PicoDet without post-processing:
    first the chances of each class (N, A, C) of all strides, then for each stride logits
    (N, A, 4 * R) over 0 to R - 1 strides from the middle of a cell to the left, upper, right and
    lower side of its box. A distance is the mean of its distribution (Li et al. 2020, "Generalized
    Focal Loss"). Cells are counted in rows.
    """

    class Options(Classes):
        """The grids."""

        strides: Strides = Field((8, 16, 32, 64), description=STRIDES)

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        import numpy as np

        count = len(options.strides)
        chances, logits = outputs[:count], outputs[count : 2 * count]
        fits = len(outputs) == 2 * count and all(
            score.ndim == sides.ndim == 3
            and score.shape[:2] == sides.shape[:2]
            and score.shape[2] == chances[0].shape[2]
            and sides.shape[2] == logits[0].shape[2]
            for score, sides in zip(chances, logits, strict=True)
        )
        if not fits or logits[0].shape[2] % 4:
            raise other_shapes(
                "picodet", outputs, f"{count} times (N, A, C), then {count} times (N, A, 4 * R)"
            )
        network = images[0].network
        grid = cells(network, options.strides)
        scores, sides = np.concatenate(chances, axis=1), np.concatenate(logits, axis=1)
        refuse_other_count("picodet", scores.shape[1], grid, network, options.strides)
        decoded = []
        for row in range(len(scores)):
            rows, kept, categories = above(scores[row], floor, options)
            distances = _means(sides[row, rows]) * grid[rows, 2:]
            middle = (grid[rows, :2] + 0.5) * grid[rows, 2:]
            boxes = np.concatenate([middle - distances[:, :2], middle + distances[:, 2:]], axis=1)
            decoded.append((boxes.astype(np.float32), kept, categories))
        return decoded


class Blaze(Decoder):
    """Two outputs, as MediaPipe's detectors of faces, palms and people give them: boxes (N, A, 4
    and more), distances of the centre from the middle of a cell, width and height, all in pixels of
    the network's input, with keypoints behind them; and logits of the one class (N, A, 1)
    (Bazarevsky et al. 2019, "BlazeFace"). Each cell of a feature map has several boxes.
    """

    class Options(Classes):
        """The grids."""

        strides: Strides = Field((8, 16), description=STRIDES)
        boxes_per_cell: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
            (2, 6), description="boxes of each cell, of each feature map"
        )

        @model_validator(mode="after")
        def _fit(self) -> Blaze.Options:
            if len(self.boxes_per_cell) != len(self.strides):
                raise ValueError(
                    f"boxes_per_cell has {len(self.boxes_per_cell)} entries, strides "
                    f"{len(self.strides)}"
                )
            return self

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        import numpy as np
        from scipy.special import expit

        by_columns = sorted(outputs[:2], key=lambda output: -output.shape[-1])
        fits = (
            len(outputs) >= 2
            and all(output.ndim == 3 for output in by_columns)
            and by_columns[0].shape[:2] == by_columns[1].shape[:2]
            and by_columns[0].shape[2] >= 4
            and by_columns[1].shape[2] == 1
        )
        if not fits:
            raise other_shapes("blaze", outputs, "(N, A, 4 + K) and (N, A, 1)")
        boxes, logits = by_columns
        network = images[0].network
        pairs = zip(options.strides, options.boxes_per_cell, strict=True)
        grid = np.concatenate(
            [np.repeat(cells(network, (stride,)), count, axis=0) for stride, count in pairs]
        )
        refuse_other_count("blaze", boxes.shape[1], grid, network, options.strides)
        decoded = []
        for raw, scores in zip(boxes, expit(logits.astype(np.float32, copy=False)), strict=True):
            rows, kept, categories = above(scores, floor, options)
            centre = (grid[rows, :2] + 0.5) * grid[rows, 2:] + raw[rows, :2]
            half = raw[rows, 2:4] / 2
            corners = np.concatenate([centre - half, centre + half], axis=1)
            decoded.append((corners.astype(np.float32), kept, categories))
        return decoded


def _means(logits: Any) -> Any:
    """Logits (M, 4 * R) to the mean of each of the four distributions over 0 to R - 1, (M, 4)."""
    import numpy as np
    from scipy.special import softmax

    values = logits.reshape(len(logits), 4, logits.shape[1] // 4).astype(np.float32, copy=False)
    chances = softmax(values, axis=2)
    return chances @ np.arange(values.shape[2], dtype=np.float32)
