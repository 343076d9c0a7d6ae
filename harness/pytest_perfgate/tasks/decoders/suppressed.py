"""Decoders of exports with suppression inside: boxes, scores and classes as lists.

Overlapping boxes are suppressed in the graph, and not again here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from pytest_perfgate.errors import DataError, RecipeError
from pytest_perfgate.tasks.decoders import (
    BoxFormat,
    BoxOptions,
    Classes,
    Decoder,
    Units,
    listed,
    other_shapes,
)
from pytest_perfgate.tasks.pixels.geometry import Geometry

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Decoded
    from pytest_perfgate.tasks.pixels.geometry import Placed
    from pytest_perfgate.tasks.pixels.input_options import Input

_UNITS = str(BoxOptions.model_fields["units"].description)
_FORMAT = str(BoxOptions.model_fields["box_format"].description)
_BACKGROUND = str(Classes.model_fields["background"].description)

Column = Literal["image", "box", "class", "score"]
_KEYPOINT = 3  # numbers of one: x, y and a score


class OriginalOptions(BoxOptions):
    """As `BoxOptions`; boxes are in pixels of the original picture."""

    units: Units = Field("original", description=_UNITS)


class NmsRows(Decoder):
    """One output (M, 7): a row for each box of the whole batch, with the index of its image, as
    YOLOv7's `--end2end` exports for ONNX Runtime give it (index, corners in network pixels, class,
    score). Axes of length 1 in front are left out: OpenVINO's DetectionOutput is (1, 1, M, 7), with
    `columns = ["image", "class", "score", "box"]` and `units = "fractions"`.

    Rows with a negative image index or without a score are unused. Further columns are ignored
    where they are keypoints, of three numbers each.
    """

    class Options(BoxOptions):
        """The order of the columns."""

        columns: tuple[Column, ...] = Field(
            ("image", "box", "class", "score"), description="order of the columns; a box is four"
        )

        @field_validator("columns")
        @classmethod
        def _all(cls, value: tuple[Column, ...]) -> tuple[Column, ...]:
            if sorted(value) != ["box", "class", "image", "score"]:
                raise ValueError("columns are image, box, class and score, each once")
            return value

    suppresses = False
    rows_of_images = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class.

        Raises:
            DataError: a row is of an image that the batch does not have.
        """
        rows = outputs[0]
        more = rows.shape[-1] - 7 if rows.ndim >= 2 else -1
        if more < 0 or more % _KEYPOINT or any(length != 1 for length in rows.shape[:-2]):
            raise other_shapes("nms_rows", outputs, "(M, 7)")
        rows = rows.reshape(-1, rows.shape[-1])
        places: dict[Column, int] = {}
        start = 0
        for column in options.columns:
            places[column] = start
            start += 4 if column == "box" else 1
        index, box = rows[:, places["image"]], places["box"]
        highest = index.max(initial=-1)
        if highest >= len(images):
            raise DataError(
                f"a row is of image {highest:.4g}, and the batch has {len(images)}",
                where="suite.output.options.columns",
                valid=f"0 to {len(images) - 1} in the column of the image",
                next_step="set columns to the order of the network's columns",
            )
        decoded = []
        for image in range(len(images)):
            own = rows[index == image]
            decoded.append(
                listed(
                    own[:, box : box + 4],
                    own[:, places["score"]],
                    own[:, places["class"]],
                    floor,
                    options,
                )
            )
        return decoded


class Paddle(Decoder):
    """Two outputs, as PaddleDetection exports detectors with suppression: rows (M, 6) of the whole
    batch, with class, score and corners in pixels of the original picture (the network has the
    input `scale_factor`), and the number of rows of each image (N,).
    """

    Options = OriginalOptions
    suppresses = False
    rows_of_images = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class.

        Raises:
            DataError: the numbers do not add up to the rows.
        """
        import numpy as np

        fits = len(outputs) >= 2 and outputs[0].ndim == 2 and outputs[0].shape[1] == 6
        if not fits or outputs[1].shape != (len(images),):
            raise other_shapes("paddle", outputs, f"(M, 6) and (N,), and N = {len(images)}")
        rows, counts = outputs[0], outputs[1].astype(np.int64)
        if counts.sum() and counts.sum() != len(rows):  # without any box there is a row of -1
            raise DataError(
                f"the images have {counts.tolist()} boxes, and there are {len(rows)} rows",
                where="suite.output.decode = 'paddle'",
            )
        ends = np.cumsum(counts)
        return [
            listed(own[:, 2:6], own[:, 1], own[:, 0], floor, options)
            for own in (rows[end - count : end] for count, end in zip(counts, ends, strict=True))
        ]


class EfficientNms(Decoder):
    """Four outputs of TensorRT's EfficientNMS plugin: `num_dets` (N, 1), boxes (N, M, 4), scores
    (N, M), classes (N, M). Rows beyond the image's number are unused.
    """

    Options = BoxOptions
    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        return _counted("efficient_nms", outputs, (0, 1, 2, 3), floor, options)


class TflitePostprocess(Decoder):
    """Four outputs of TensorFlow Lite's TFLite_Detection_PostProcess: boxes (N, M, 4) as fractions
    (top, left, bottom, right), classes (N, M), scores (N, M), numbers of boxes (N,). Classes are
    counted without the background.
    """

    class Options(BoxOptions):
        """As `BoxOptions`; boxes are fractions, y first."""

        units: Units = Field("fractions", description=_UNITS)
        box_format: BoxFormat = Field("yxyx", description=_FORMAT)

    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        return _counted("tflite_postprocess", outputs, (3, 0, 2, 1), floor, options)


class Torchvision(Decoder):
    """Three outputs without a batch, as torchvision's detectors are exported: boxes (M, 4) as
    corners in network pixels, labels (M,), in which 0 is the background, and scores (M,). Labels
    are those in whole numbers: RetinaNet and SSD give scores first. Masks and keypoints behind them
    are ignored.
    """

    class Options(BoxOptions):
        """As `BoxOptions`; the background is class 0."""

        background: int | None = Field(0, ge=0, description=_BACKGROUND)

    suppresses = False
    rows_of_images = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class.

        Raises:
            DataError: the batch has several images.
        """
        boxes, labels, scores = _three("torchvision", outputs, batch=False)
        if len(images) != 1:
            raise DataError(
                f"the outputs are of one image, and the batch has {len(images)}",
                where="suite.output.decode = 'torchvision'",
                next_step="[suite] batch = 1",
            )
        return [listed(boxes, scores, labels, floor, options)]


class RtDetr(Decoder):
    """Three outputs, as RT-DETR, D-FINE and DEIM are exported with their post-processing: labels
    (N, Q), boxes (N, Q, 4) as corners and scores (N, Q). Boxes are in pixels of the original
    picture, where the input `orig_target_sizes` holds its width and height; a network that is given
    its own size there needs `units = "network"`.
    """

    Options = OriginalOptions
    suppresses = False

    @override
    def check_input(self, options: Any, pixels: Input) -> None:
        """The network multiplies fractions of its input by the size that it is given: that of the
        picture fits where the input shows the whole picture and nothing else.
        """
        for name, other in pixels.others.items():
            key = f"suite.input.others.{name}"
            if other.rule == "network_size" and options.units == "original":
                raise RecipeError(
                    "the network is given the size of its own input, and the decoder 'rtdetr' "
                    "reads boxes as pixels of the picture",
                    where=key,
                    valid='rule = "original_size" with order = "wh", or [suite.output] options = '
                    '{ units = "network" }',
                )
            if other.rule != "original_size":
                continue
            if options.units != "original":
                raise RecipeError(
                    f"the network is given the size of the picture, and units = {options.units!r} "
                    "reads boxes otherwise",
                    where="suite.output.options.units",
                    valid='units = "original", or leave it out',
                )
            if not pixels.preprocess and not Geometry(pixels).shows_all:
                raise RecipeError(
                    'rule = "original_size": the network multiplies its boxes by the size of the '
                    f"picture, and its input, {pixels.resize} with padding or a crop, shows "
                    "something else",
                    where=key,
                    valid='resize = "stretch" without crop and multiple, as RT-DETR trains; or for '
                    'boxes in pixels of the input rule = "network_size", order = "wh" and '
                    '[suite.output] options = { units = "network" }',
                )

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        boxes, labels, scores = _three("rtdetr", outputs, batch=True)
        return [listed(*rows, floor, options) for rows in zip(boxes, scores, labels, strict=True)]


def _three(name: str, outputs: tuple[Any, ...], *, batch: bool) -> tuple[Any, Any, Any]:
    """Boxes, labels and scores among the first three outputs, by their shapes; labels are whole
    numbers by their type, or stand before the scores.
    """
    axes = 3 if batch else 2
    boxes = [one for one in outputs[:3] if one.ndim == axes and one.shape[-1] == 4]
    lists = [one for one in outputs[:3] if one.ndim == axes - 1]
    if len(boxes) != 1 or len(lists) != 2 or any(one.shape != boxes[0].shape[:-1] for one in lists):
        front = "N, " if batch else ""
        raise other_shapes(
            name, outputs, f"boxes ({front}M, 4), labels ({front}M) and scores ({front}M)"
        )
    labels, scores = lists
    if scores.dtype.kind in "iu" and labels.dtype.kind not in "iu":
        labels, scores = scores, labels
    return boxes[0], labels, scores


def _counted(
    name: str,
    outputs: tuple[Any, ...],
    order: tuple[int, int, int, int],
    floor: float,
    options: BoxOptions,
) -> list[Decoded]:
    """Four outputs, of which `order` has the places of numbers, boxes, scores and classes."""
    if len(outputs) >= 4:
        counts, boxes, scores, classes = (outputs[place] for place in order)
        fits = boxes.ndim == 3 and boxes.shape[2] == 4 and scores.shape == boxes.shape[:2]
        if fits and classes.shape == scores.shape and counts.size == len(boxes):
            return [
                listed(
                    boxes[row, : int(count)],
                    scores[row, : int(count)],
                    classes[row, : int(count)],
                    floor,
                    options,
                )
                for row, count in enumerate(counts.reshape(-1))
            ]
    words = ("(N, 1)", "boxes (N, M, 4)", "scores (N, M)", "classes (N, M)")
    raise other_shapes(name, outputs, ", ".join(words[order.index(place)] for place in range(4)))
