"""Decoders: a network's output arrays to boxes, scores and categories, one convention each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import NoOptions, OptionsModel
from pytest_perfgate.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Decoded = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]
    """Boxes (M, 4) corners in network pixels, scores (M,), category indices (M,)."""


class Decoder(registry.Extension, ABC):
    """An output convention of detectors.

    Example:
        The decoder `one_table`: one output (N, A, 6) with corners in network pixels, score and
        category index.

            import numpy as np
            from pytest_perfgate.tasks.decoders import Decoder


            class OneTable(Decoder):
                def decode(self, outputs, floor, options):
                    tables = [table[table[:, 4] >= floor] for table in outputs[0]]
                    return [
                        (
                            table[:, :4].astype(np.float32),
                            table[:, 4].astype(np.float32),
                            table[:, 5].astype(np.int64),
                        )
                        for table in tables
                    ]

    Attributes:
        Options: its options, `[suite.output] options`. Default: none.
        suppresses: whether overlapping boxes are suppressed afterwards. Default: yes.
        relative: whether boxes are from 0 to 1 of the network's input. Default: no, in its pixels.
    """

    group = registry.DECODERS

    suppresses: bool = True
    relative: bool = False

    Options: type[OptionsModel] = NoOptions

    @abstractmethod
    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """The boxes, scores and category indices of each image in the batch, with scores of at
        least `floor`.

        Raises:
            DataError: the outputs do not have the shapes of this convention.
        """


class Classes(OptionsModel):
    """Which of the network's classes are the data's."""

    classes: tuple[int, ...] = Field(
        (),
        description="index of each of the data's categories among the network's classes; further "
        "classes are dropped. Default: the same order",
    )


class BoxesScores(Decoder):
    """Two outputs: boxes (N, A, 4) as corners in network pixels, and scores (N, A, C) in [0, 1].

    An anchor may give boxes of several categories.
    """

    Options = Classes

    @override
    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        fits = (
            len(outputs) >= 2
            and outputs[0].ndim == outputs[1].ndim == 3
            and outputs[0].shape[2] == 4
            and outputs[0].shape[:2] == outputs[1].shape[:2]
        )
        if not fits:
            shapes = [tuple(output.shape) for output in outputs]
            raise DataError(
                f"the outputs have shapes {shapes}",
                where="suite.output.decode = 'boxes_scores'",
                valid="boxes (N, A, 4) and scores (N, A, C)",
            )
        return [
            each_class(boxes, scores, floor, options.classes)
            for boxes, scores in zip(outputs[0], outputs[1], strict=True)
        ]


def each_class(boxes: Any, scores: Any, floor: float, classes: tuple[int, ...]) -> Decoded:
    """Boxes (A, 4) and scores (A, C): a box may be of several classes.

    Raises:
        DataError: the network has no class of `classes`, or the scores are none.
    """
    import numpy as np

    if classes:
        refuse_unknown(classes, scores.shape[1])
        scores = scores[:, list(classes)]
    refuse_other_scores(scores)
    rows, categories = np.nonzero(scores >= floor)
    return (
        boxes[rows].astype(np.float32, copy=False),
        scores[rows, categories].astype(np.float32, copy=False),
        categories.astype(np.int64),
    )


def refuse_unknown(classes: tuple[int, ...], count: int) -> None:
    """Check that a network of `count` classes has all of `classes`."""
    for label in classes:
        if not 0 <= label < count:
            raise DataError(
                f"the network has no class {label}",
                where="suite.output.options.classes",
                valid=f"0 to {count - 1}",
            )


_SLACK = 0.05
"""Quantized scores may pass 0 and 1 by a step."""


def refuse_other_scores(scores: Any) -> None:
    """Check that scores are from 0 to 1: logits, and outputs of another convention, are not."""
    if not scores.size:
        return
    lowest, highest = float(scores.min()), float(scores.max())
    if lowest < -_SLACK or highest > 1 + _SLACK:
        raise DataError(
            f"the scores go from {lowest:.3g} to {highest:.3g}",
            where="suite.output.decode",
            valid="0 to 1",
            next_step="name the decoder of this network's outputs: these are logits, or of another "
            "convention",
        )


class TextMap(Decoder):
    """One output: a probability map (N, 1, h, w) of text, as differentiable binarization gives it
    (Liao et al. 2020). Connected regions become axis-aligned boxes of one category; a region is
    grown by area * `unclip` / perimeter, which undoes the shrinking that such models train on.
    """

    class Options(OptionsModel):
        """Thresholds of the map."""

        threshold: float = Field(0.3, gt=0, lt=1, description="lowest score of a text pixel")
        unclip: float = Field(
            1.6,
            ge=0,
            description="growth of a region, as a multiple of its area over its perimeter",
        )
        min_size: float = Field(
            3.0,
            ge=0,
            description="shortest side of a region, in pixels; smaller regions are dropped",
        )

    suppresses = False

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        import numpy as np
        from scipy import ndimage

        if outputs[0].ndim != 4 or outputs[0].shape[1] != 1:
            raise DataError(
                f"the output has shape {tuple(outputs[0].shape)}",
                where="suite.output.decode = 'text_map'",
                valid="a probability map (N, 1, h, w)",
            )
        decoded = []
        for page in outputs[0][:, 0]:
            labels, count = ndimage.label(page > options.threshold, structure=np.ones((3, 3)))
            regions = ndimage.find_objects(labels)
            means = ndimage.mean(page, labels, np.arange(1, count + 1)) if count else []
            boxes, scores = [], []
            for region, mean in zip(regions, means, strict=True):
                height = region[0].stop - region[0].start
                width = region[1].stop - region[1].start
                if min(height, width) < options.min_size or mean < floor:
                    continue
                grow = height * width * options.unclip / (2.0 * (height + width))
                boxes.append(
                    (
                        max(0.0, region[1].start - grow),
                        max(0.0, region[0].start - grow),
                        min(float(page.shape[1]), region[1].stop + grow),
                        min(float(page.shape[0]), region[0].stop + grow),
                    )
                )
                scores.append(mean)
            decoded.append(
                (
                    np.array(boxes, dtype=np.float32).reshape(-1, 4),
                    np.array(scores, dtype=np.float32),
                    np.zeros(len(scores), dtype=np.int64),
                )
            )
        return decoded
