"""Decoders: a network's output arrays to boxes, scores and categories, one convention each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import NoOptions, OptionsModel
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.class_names import ClassOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.pixels.geometry import Placed
    from pytest_perfgate.tasks.pixels.input_options import Input

    Decoded = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]
    """Boxes (M, 4) as corners, scores (M,), category indices (M,)."""

Units = Literal["network", "original", "fractions"]
BoxFormat = Literal["xyxy", "yxyx", "cxcywh", "xywh"]


class Decoder(registry.Extension, ABC):
    """An output convention of detectors.

    Example:
        The decoder `one_table`: one output (N, A, 6) with corners in network pixels, score and
        category index.

            import numpy as np
            from pytest_perfgate.tasks.decoders import Decoder


            class OneTable(Decoder):
                def decode(self, outputs, floor, options, images):
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
        rows_of_images: whether every output has a row for each image, so that inferences can be
            joined. Default: yes.
    """

    group = registry.DECODERS

    suppresses: bool = True
    rows_of_images: bool = True

    Options: type[OptionsModel] = NoOptions

    @abstractmethod
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """The boxes (corners), scores and category indices of each image in the batch, with scores
        of at least `floor`. `images` has an entry for each image: `network` is the height and width
        of the network's input, `original` those of the picture.

        Raises:
            DataError: the outputs do not have the shapes of this convention.
        """

    def units(self, options: Any) -> Units:
        """Units of the boxes: "network" for pixels of the network's input, "original" for pixels of
        the picture, "fractions" for 0 to 1 of the network's input. Default: the option `units` of
        `BoxOptions`, else pixels of the network's input.
        """
        return options.units if isinstance(options, BoxOptions) else "network"

    def check_input(self, options: Any, pixels: Input) -> None:
        """Check this decoder's options against what the network is given, `[suite.input]`. Default:
        all fit.

        Raises:
            RecipeError: boxes cannot be right; names what to write.
        """


class Classes(ClassOptions):
    """Which of the network's classes are the data's categories."""

    @field_validator("classes")
    @classmethod
    def _each_once(cls, value: Any) -> Any:
        if isinstance(value, tuple) and len(set(value)) != len(value):
            raise ValueError("a class of the network is there twice")
        return value


class BoxOptions(Classes):
    """How the network writes a box."""

    units: Units = Field(
        "network",
        description="units of boxes: pixels of the network's input, pixels of the original "
        "picture, or fractions of the network's input",
    )
    box_format: BoxFormat = Field(
        "xyxy",
        description="the four numbers of a box: corners, corners with y first, centre and size, or "
        "left top corner and size",
    )


class CentreOptions(BoxOptions):
    """As `BoxOptions`; a box is its centre and its size."""

    box_format: BoxFormat = Field(
        "cxcywh", description=str(BoxOptions.model_fields["box_format"].description)
    )


class BoxesScores(Decoder):
    """Two outputs: boxes (N, A, 4) as corners in network pixels, and scores (N, A, C) in [0, 1].

    An anchor may give boxes of several categories.
    """

    Options = BoxOptions

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        check_shapes("boxes_scores", outputs, [("N", "A", "4"), ("N", "A", "C")])
        return [
            each_class(boxes, scores, floor, options)
            for boxes, scores in zip(outputs[0], outputs[1], strict=True)
        ]


def check_shapes(name: str, outputs: tuple[Any, ...], wanted: list[tuple[str, ...]]) -> None:
    """Check that the outputs have the shapes of `wanted`: letters stand for any length, the same
    letter for the same one, and `4 + C` for more than 4.

    Raises:
        DataError: names the shapes, and those that the decoder `name` reads.
    """
    lengths: dict[str, int] = {}
    fits = len(outputs) >= len(wanted)
    for output, shape in zip(outputs, wanted, strict=False):
        if output.ndim != len(shape):
            fits = False
            continue
        for length, word in zip(output.shape, shape, strict=True):
            least, _, more = word.partition(" + ")
            if more:
                fits = fits and length > int(least)
            elif word.isdigit():
                fits = fits and length == int(word)
            else:
                fits = fits and lengths.setdefault(word, length) == length
    if not fits:
        raise other_shapes(name, outputs, " and ".join(f"({', '.join(shape)})" for shape in wanted))


def other_shapes(name: str, outputs: tuple[Any, ...], valid: str) -> DataError:
    """The error of outputs that the decoder `name` cannot read, to be raised."""
    return DataError(
        f"the outputs have shapes {[tuple(output.shape) for output in outputs]}",
        where=f"suite.output.decode = {name!r}",
        valid=valid,
    )


def corners(boxes: Any, box_format: BoxFormat) -> Any:
    """Boxes (M, 4) of a format as corners (M, 4): left, top, right, bottom."""
    import numpy as np

    if box_format == "xyxy":
        return boxes
    if box_format == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    size = boxes[:, 2:]
    left_top = boxes[:, :2] - size / 2 if box_format == "cxcywh" else boxes[:, :2]
    return np.concatenate([left_top, left_top + size], axis=1)


def each_class(boxes: Any, scores: Any, floor: float, options: BoxOptions) -> Decoded:
    """Boxes (A, 4) as the options have them, and scores (A, C): a box may be of several classes.

    Raises:
        DataError: the network has no class of `classes`, or the scores are none.
    """
    rows, kept, categories = above(scores, floor, options)
    return as_corners(boxes[rows], options), kept, categories


def above(scores: Any, floor: float, options: Classes) -> tuple[Any, Any, Any]:
    """Of scores (A, C) those of the data's categories that are at least `floor`: row, score and
    category of each, (M,).

    Raises:
        DataError: the network has no class of `classes`, or the scores are none.
    """
    import numpy as np

    order = options.network_classes(scores.shape[1])
    if order is not None:
        scores = scores[:, order]
    refuse_other_scores(scores)
    # Half the time of `nonzero` of two dimensions
    rows, categories = np.divmod(np.flatnonzero(scores >= floor), scores.shape[1])
    kept = scores[rows, categories].astype(np.float32, copy=False)
    return rows, kept, categories.astype(np.int64)


def listed(boxes: Any, scores: Any, labels: Any, floor: float, options: BoxOptions) -> Decoded:
    """Boxes (M, 4) as the options have them, scores (M,) and classes (M,): one class a box. Rows
    without a score or with a negative class are unused.

    Raises:
        DataError: the scores are none, or the classes no whole numbers.
    """
    rows, kept, categories = used(scores, labels, floor, options)
    return as_corners(boxes[rows], options), kept, categories


def used(scores: Any, labels: Any, floor: float, options: Classes) -> tuple[Any, Any, Any]:
    """Of scores (M,) and classes (M,) those of the data's categories that are at least `floor`:
    row, score and category of each, (K,).

    Raises:
        DataError: the scores are none, or the classes no whole numbers.
    """
    import numpy as np

    refuse_other_scores(scores)
    whole = labels.astype(np.int64)
    kept = (scores >= floor) & (scores > 0) & (whole >= 0)
    if (whole != labels)[kept].any():
        wrong = labels[kept][(whole != labels)[kept]][0]
        raise DataError(
            f"{wrong:.4g} stands where a class should be",
            where="suite.output",
            valid="whole numbers",
            next_step="compare the order of outputs and columns with the decoder's",
        )
    whole = data_labels(whole, options)
    rows = np.flatnonzero(kept & (whole >= 0))
    return rows, scores[rows].astype(np.float32, copy=False), whole[rows]


def data_labels(labels: Any, options: Classes) -> Any:
    """The network's labels (M,) as indices of the data's categories; -1 for a class that the data
    does not have.

    Raises:
        DataError: a label is beyond the declared number of classes.
    """
    import numpy as np

    if options.class_count is not None and labels.max(initial=-1) >= options.class_count:
        raise DataError(
            f"the network gives a class {labels.max()}, and {options.class_count} are named",
            where="suite.output.options",
        )
    if options.indices:
        place = {label: index for index, label in enumerate(options.indices)}
        return np.array([place.get(int(label), -1) for label in labels], dtype=np.int64)
    if options.background is None:
        return labels
    without = np.where(labels > options.background, labels - 1, labels)
    return np.where(labels == options.background, -1, without)


def as_corners(boxes: Any, options: BoxOptions) -> Any:
    """Boxes (M, 4) as the options have them, as corners in float32."""
    import numpy as np

    return corners(boxes.astype(np.float32, copy=False), options.box_format)


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
            "convention; with keypoints behind the classes, set class_count in its options",
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

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
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
