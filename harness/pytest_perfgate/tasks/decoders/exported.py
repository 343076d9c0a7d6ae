"""Decoders of detectors that other projects train and export, one output convention each.

Categories are counted from 0 in the order of the data's categories; `classes` says which of the
network's are which, for a network that knows others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.decoders import (
    BoxOptions,
    CentreOptions,
    Decoder,
    Units,
    check_shapes,
    each_class,
    listed,
    other_shapes,
)

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Decoded
    from pytest_perfgate.tasks.pixels.geometry import Placed


class Ultralytics(Decoder):
    """One output (N, 4 + C, A), as Ultralytics exports YOLOv8, 9, 11 and 12 for detection: centre
    x, y, width and height in network pixels, then a score in [0, 1] for each class.
    """

    Options = CentreOptions

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        check_shapes("ultralytics", outputs, [("N", "4 + C", "A")])
        end = 4 + _scored(outputs, outputs[0].shape[1] - 4, options)
        return [each_class(image[:4].T, image[4:end].T, floor, options) for image in outputs[0]]


class Yolov5(Decoder):
    """One output (N, A, 5 + C), as YOLOv5 and YOLOv7 are exported: centre x, y, width and height in
    network pixels, the chance that there is an object, and that of each class if there is one.
    """

    Options = CentreOptions

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        check_shapes("yolov5", outputs, [("N", "A", "5 + C")])
        end = 5 + _scored(outputs, outputs[0].shape[2] - 5, options)
        return [
            each_class(image[:, :4], image[:, 4:5] * image[:, 5:end], floor, options)
            for image in outputs[0]
        ]


class UltralyticsNms(Decoder):
    """One output (N, M, 6), as Ultralytics exports with `nms=True` and YOLOv10 always: corners in
    network pixels, score, class. Rows that are not used have the score 0. Columns after these are
    ignored where they are keypoints (of three numbers each) or mask coefficients (for a second
    output of prototypes).
    """

    Options = BoxOptions
    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        _check_listed(outputs)
        return [
            listed(image[:, :4], image[:, 4], image[:, 5], floor, options) for image in outputs[0]
        ]


class MmdeployNms(Decoder):
    """Two outputs, as MMDeploy exports detectors of MMDetection with their own suppression: `dets`
    (N, M, 5), corners in network pixels and score, and `labels` (N, M). Without it MMDeploy gives
    what `boxes_scores` takes.
    """

    Options = BoxOptions
    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        check_shapes("mmdeploy_nms", outputs, [("N", "M", "5"), ("N", "M")])
        return [
            listed(detections[:, :4], detections[:, 4], labels, floor, options)
            for detections, labels in zip(outputs[0], outputs[1], strict=True)
        ]


class Detr(Decoder):
    """Two outputs, as DETR and what follows it give them: class logits (N, Q, C), and boxes
    (N, Q, 4) as centre x, y, width and height from 0 to 1 of the network's input.

    With `softmax` the last class is "no object" (Carion et al. 2020); with `sigmoid` every class is
    by itself (Zhu et al. 2020, RT-DETR).
    """

    class Options(CentreOptions):
        """What makes logits scores."""

        units: Units = Field(
            "fractions", description=str(BoxOptions.model_fields["units"].description)
        )
        activation: Literal["softmax", "sigmoid"] = Field(
            "softmax", description="activation from logits to scores"
        )

    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[Decoded]:
        """See the class."""
        from scipy.special import expit, softmax

        check_shapes("detr", outputs, [("N", "Q", "C"), ("N", "Q", "4")])
        decoded = []
        for logits, boxes in zip(outputs[0], outputs[1], strict=True):
            if options.activation == "softmax":
                scores = softmax(logits, axis=1)[:, :-1]
            else:
                scores = expit(logits)
            decoded.append(each_class(boxes, scores, floor, options))
        return decoded


def _check_listed(outputs: tuple[Any, ...]) -> None:
    """Check the shape of rows that begin with a box, a score and a class."""
    rows = outputs[0]
    more = rows.shape[2] - 6 if rows.ndim == 3 else -1
    masks = outputs[1].shape[1] if len(outputs) > 1 and outputs[1].ndim == 4 else 0
    if more < 0 or (more % 3 and more != masks):  # one more column is the angle of an oriented box
        raise other_shapes(
            "ultralytics_nms", outputs, "(N, M, 6), or with K keypoints (N, M, 6 + 3 * K)"
        )


def _scored(outputs: tuple[Any, ...], columns: int, options: CentreOptions) -> int:
    """How many of the `columns` after a box are scores of classes: `class_count`, where the others
    are keypoints or mask coefficients, else all.
    """
    count = options.class_count
    more = 0 if count is None else columns - count
    masks = outputs[1].shape[1] if len(outputs) > 1 and outputs[1].ndim == 4 else 0
    if count is not None and more > 0 and (more == masks or more % 3 == 0):
        return count
    _refuse_masks(outputs, columns, options.indices)
    return columns


def _refuse_masks(outputs: tuple[Any, ...], columns: int, classes: tuple[int, ...]) -> None:
    """Check that none of the `columns` after a box is a coefficient of masks.

    A segmentation export has a second output of mask prototypes (N, M, h, w), and after the scores
    of the classes M coefficients for them.
    """
    if len(outputs) < 2 or outputs[1].ndim != 4:
        return
    masks = int(outputs[1].shape[1])
    scores = columns - masks
    if classes and max(classes) < scores:
        return
    raise DataError(
        f"this is a segmentation export: of the {columns} columns after the box the last {masks} "
        f"are mask coefficients, for the second output {tuple(outputs[1].shape)}",
        where="suite.output.decode",
        next_step='score its masks: task = "instances"; or its boxes alone: '
        f"options = {{ classes = [0, ..., {scores - 1}] }}",
    )
