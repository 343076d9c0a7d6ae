"""Decoders of detectors that other projects train and export, one output convention each.

Categories are counted from 0 in the order of the data's categories; `classes` says which of the
network's are which, for a network that knows others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.decoders import Classes, Decoder, each_class, refuse_other_scores

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Decoded


class Ultralytics(Decoder):
    """One output (N, 4 + C, A), as Ultralytics exports YOLOv8, 9, 11 and 12 for detection: centre
    x, y, width and height in network pixels, then a score in [0, 1] for each class.
    """

    Options = Classes

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        _check("ultralytics", outputs, [("N", "4 + C", "A")])
        _refuse_masks(outputs, outputs[0].shape[1] - 4, options.classes)
        return [
            each_class(_from_centres(image[:4].T), image[4:].T, floor, options.classes)
            for image in outputs[0]
        ]


class Yolov5(Decoder):
    """One output (N, A, 5 + C), as YOLOv5 and YOLOv7 are exported: centre x, y, width and height in
    network pixels, the chance that there is an object, and that of each class if there is one.
    """

    Options = Classes

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        _check("yolov5", outputs, [("N", "A", "5 + C")])
        _refuse_masks(outputs, outputs[0].shape[2] - 5, options.classes)
        return [
            each_class(
                _from_centres(image[:, :4]), image[:, 4:5] * image[:, 5:], floor, options.classes
            )
            for image in outputs[0]
        ]


class UltralyticsNms(Decoder):
    """One output (N, M, 6), as Ultralytics exports with `nms=True` and YOLOv10 always: corners in
    network pixels, score, class. Rows that are not used have the score 0.
    """

    Options = Classes
    suppresses = False

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        _check("ultralytics_nms", outputs, [("N", "M", "6")])
        return [
            _listed(image[:, :4], image[:, 4], image[:, 5], floor, options.classes)
            for image in outputs[0]
        ]


class MmdeployNms(Decoder):
    """Two outputs, as MMDeploy exports detectors of MMDetection with their own suppression: `dets`
    (N, M, 5), corners in network pixels and score, and `labels` (N, M). Without it MMDeploy gives
    what `boxes_scores` takes.
    """

    Options = Classes
    suppresses = False

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        _check("mmdeploy_nms", outputs, [("N", "M", "5"), ("N", "M")])
        return [
            _listed(detections[:, :4], detections[:, 4], labels, floor, options.classes)
            for detections, labels in zip(outputs[0], outputs[1], strict=True)
        ]


class Detr(Decoder):
    """Two outputs, as DETR and what follows it give them: class logits (N, Q, C), and boxes
    (N, Q, 4) as centre x, y, width and height from 0 to 1 of the network's input.

    With `softmax` the last class is "no object" (Carion et al. 2020); with `sigmoid` every class is
    by itself (Zhu et al. 2020, RT-DETR).
    """

    class Options(Classes):
        """What makes logits scores."""

        activation: Literal["softmax", "sigmoid"] = Field(
            "softmax", description="activation from logits to scores"
        )

    suppresses = False
    relative = True

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        from scipy.special import expit, softmax

        _check("detr", outputs, [("N", "Q", "C"), ("N", "Q", "4")])
        decoded = []
        for logits, boxes in zip(outputs[0], outputs[1], strict=True):
            if options.activation == "softmax":
                scores = softmax(logits, axis=1)[:, :-1]
            else:
                scores = expit(logits)
            decoded.append(each_class(_from_centres(boxes), scores, floor, options.classes))
        return decoded


def _check(name: str, outputs: tuple[Any, ...], wanted: list[tuple[str, ...]]) -> None:
    """Nothing, when the outputs have the shapes of `wanted`: letters stand for any length, the same
    letter for the same one, and `4 + C` for more than 4.
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
        raise DataError(
            f"the outputs have shapes {[tuple(output.shape) for output in outputs]}",
            where=f"suite.output.decode = {name!r}",
            valid=" and ".join(f"({', '.join(shape)})" for shape in wanted),
        )


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
        next_step="export the network for detection, or score its boxes alone: "
        f"options = {{ classes = [0, ..., {scores - 1}] }}",
    )


def _from_centres(boxes: Any) -> Any:
    """Centre x, y, width and height (M, 4) to corners (M, 4)."""
    import numpy as np

    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _listed(
    boxes: Any, scores: Any, labels: Any, floor: float, classes: tuple[int, ...]
) -> Decoded:
    """Boxes (M, 4), scores (M,) and classes (M,): one class a box."""
    import numpy as np

    refuse_other_scores(scores)
    labels = labels.astype(np.int64)
    kept = (scores >= floor) & (scores > 0) & (labels >= 0)
    if classes:
        place = {label: index for index, label in enumerate(classes)}
        labels = np.array([place.get(int(label), -1) for label in labels], dtype=np.int64)
        kept &= labels >= 0
    return (
        boxes[kept].astype(np.float32, copy=False),
        scores[kept].astype(np.float32, copy=False),
        labels[kept],
    )
