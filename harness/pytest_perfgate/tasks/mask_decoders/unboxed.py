"""Decoders of instances for networks that give no boxes: the box is that of the mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate.tasks.decoders import Classes, above, check_shapes, refuse_other_scores
from pytest_perfgate.tasks.mask_decoders import MaskDecoder, MaskedBoxes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.masks.painting import Span
    from pytest_perfgate.tasks.pixels.geometry import Placed


class MaskQueries(MaskDecoder):
    """Two outputs, as MaskFormer and Mask2Former give them: class logits (N, Q, C), and mask logits
    (N, Q, h, w) over the network's input. With `softmax` the last class is "no object". The score
    of a class is multiplied by the mean score of the mask's pixels (Cheng et al. 2022), unless
    `mask_quality` is false.
    """

    class Options(Classes):
        """What makes logits scores."""

        activation: Literal["softmax", "sigmoid"] = Field(
            "softmax", description="activation from class logits to scores"
        )
        mask_quality: bool = Field(
            True, description="whether the mean score of a mask's pixels is part of the score"
        )

    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[MaskedBoxes]:
        """See the class."""
        import numpy as np
        from scipy.special import expit, softmax

        from pytest_perfgate.tasks.masks.painting import Planes

        check_shapes("mask_queries", outputs, [("N", "Q", "C"), ("N", "Q", "h", "w")])
        decoded = []
        for logits, masks, image in zip(outputs[0], outputs[1], images, strict=True):
            if options.activation == "softmax":
                scores = softmax(logits.astype(np.float32), axis=1)[:, :-1]
            else:
                scores = expit(logits.astype(np.float32))
            rows, kept, categories = above(scores, floor, options)
            if options.mask_quality:
                inside = masks > 0
                total = (expit(masks.astype(np.float32)) * inside).sum(axis=(1, 2))
                quality = total / (inside.sum(axis=(1, 2)) + 1e-6)
                kept = (kept * quality[rows]).astype(np.float32)
                whole = kept >= floor
                rows, kept, categories = rows[whole], kept[whole], categories[whole]
            boxes = _whole(len(rows), image)
            decoded.append(MaskedBoxes(boxes, kept, categories, Planes(masks), rows, boxed=False))
        return decoded


class Regions(MaskDecoder):
    """One output: score maps (N, C, h, w) over the network's input, one for each class. A connected
    region above `threshold` is an object, its score the mean of its pixels. Nuclei, cells and lines
    of text are segmented so.
    """

    class Options(Classes):
        """Which regions are objects."""

        threshold: float = Field(0.5, gt=0, lt=1, description="lowest score of an object's pixel")
        min_area: int = Field(
            1, ge=1, description="fewest pixels of the output in a region; smaller ones are dropped"
        )

    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[MaskedBoxes]:
        """See the class."""
        import numpy as np
        from scipy import ndimage

        from pytest_perfgate.tasks.masks.painting import RegionPlanes

        check_shapes("regions", outputs, [("N", "C", "h", "w")])
        refuse_other_scores(outputs[0])
        decoded = []
        for maps, image in zip(outputs[0], images, strict=True):
            order = options.network_classes(len(maps))
            labels = np.zeros(maps.shape, dtype=np.int32)
            scores: list[float] = []
            regions: list[tuple[int, int, int, tuple[Span, Span]]] = []
            for category, channel in enumerate(range(len(maps)) if order is None else order):
                labels[channel], count = ndimage.label(
                    maps[channel] > options.threshold, np.ones((3, 3))
                )
                numbers = np.arange(1, count + 1)
                areas = np.bincount(labels[channel].reshape(-1), minlength=count + 1)[1:]
                means = ndimage.mean(maps[channel], labels[channel], numbers) if count else []
                for number, place in enumerate(ndimage.find_objects(labels[channel])):
                    if areas[number] >= options.min_area and means[number] >= floor:
                        down, across = ((side.start, side.stop) for side in place)
                        scores.append(float(means[number]))
                        regions.append((category, channel, number + 1, (down, across)))
            planes = RegionPlanes(
                maps,
                logits=False,
                threshold=options.threshold,
                labels=labels,
                channels=tuple(channel for _, channel, _, _ in regions),
                numbers=tuple(number for _, _, number, _ in regions),
                places=tuple(place for _, _, _, place in regions),
            )
            decoded.append(
                MaskedBoxes(
                    _whole(len(regions), image),
                    np.array(scores, dtype=np.float32),
                    np.array([category for category, _, _, _ in regions], dtype=np.int64),
                    planes,
                    np.arange(len(regions)),
                    boxed=False,
                )
            )
        return decoded


def _whole(count: int, image: Placed) -> npt.NDArray[np.float32]:
    """The box of the whole input for each object: that of its mask takes its place."""
    import numpy as np

    height, width = image.network
    return np.tile(np.array([0, 0, width, height], dtype=np.float32), (count, 1))
