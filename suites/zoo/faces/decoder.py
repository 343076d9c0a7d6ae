"""CenterFace's outputs, by its paper (Xu et al. 2020): a face is a peak of a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pytest_perfgate.tasks.decoders import BoxOptions, Decoder, check_shapes, refuse_other_scores
from typing_extensions import override

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Decoded
    from pytest_perfgate.tasks.pixels.geometry import Placed


class CenterFace(Decoder):
    """A map of chances (N, 1, h, w), logarithms of height and width in cells (N, 2, h, w), and
    offsets of the centre, y first (N, 2, h, w). Landmarks behind them are ignored.
    """

    Options = BoxOptions

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        pair = ("N", "2", "h", "w")
        check_shapes("CenterFace", outputs, [("N", "1", "h", "w"), pair, pair])
        stride = images[0].network[0] / outputs[0].shape[2]
        decoded = []
        for chances, sizes, offsets in zip(*outputs[:3], strict=True):
            refuse_other_scores(chances)
            rows, columns = np.nonzero(chances[0] >= floor)
            high, wide = np.exp(sizes[:, rows, columns])
            down, right = offsets[:, rows, columns]
            y, x = rows + down + 0.5, columns + right + 0.5
            corners = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], axis=1)
            scores = chances[0, rows, columns].astype(np.float32)
            boxes = (corners * stride).astype(np.float32)
            decoded.append((boxes, scores, np.zeros(len(scores), dtype=np.int64)))
        return decoded
