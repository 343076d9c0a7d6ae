"""Decoders of detectors that other projects train and export, one output convention each.

Categories are counted from 0 in the order of the data's categories; `classes` says which of the
network's are which, for a network that knows others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.decoders import Decoder

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Decoded


class _Classes(OptionsModel):
    classes: tuple[int, ...] = Field(
        (),
        description="the network's classes in the order of the data's categories; others are left "
        "out. Default: they are the same",
    )


class Ultralytics(Decoder):
    """One output (N, 4 + C, A), as Ultralytics exports YOLOv8, 9, 11 and 12 for detection: centre
    x, y, width and height in network pixels, then a score in [0, 1] for each class.
    """

    Options = _Classes

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        _check("ultralytics", outputs, [("N", "4 + C", "A")])
        return [
            _each_class(_corners(image[:4].T), image[4:].T, floor, options.classes)
            for image in outputs[0]
        ]


class Yolov5(Decoder):
    """One output (N, A, 5 + C), as YOLOv5 and YOLOv7 are exported: centre x, y, width and height in
    network pixels, the chance that there is an object, and that of each class if there is one.
    """

    Options = _Classes

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        _check("yolov5", outputs, [("N", "A", "5 + C")])
        return [
            _each_class(
                _corners(image[:, :4]), image[:, 4:5] * image[:, 5:], floor, options.classes
            )
            for image in outputs[0]
        ]


class UltralyticsNms(Decoder):
    """One output (N, M, 6), as Ultralytics exports with `nms=True` and YOLOv10 always: corners in
    network pixels, score, class. Rows that are not used have the score 0.
    """

    Options = _Classes
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

    Options = _Classes
    suppresses = False

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        _check("mmdeploy_nms", outputs, [("N", "M", "5"), ("N", "M")])
        return [
            _listed(found[:, :4], found[:, 4], labels, floor, options.classes)
            for found, labels in zip(outputs[0], outputs[1], strict=True)
        ]


class Detr(Decoder):
    """Two outputs, as DETR and what follows it give them: class logits (N, Q, C), and boxes
    (N, Q, 4) as centre x, y, width and height from 0 to 1 of the network's input.

    With `softmax` the last class is "no object" (Carion et al. 2020); with `sigmoid` every class is
    by itself (Zhu et al. 2020, RT-DETR).
    """

    class Options(_Classes):
        """What makes logits scores."""

        activation: Literal["softmax", "sigmoid"] = Field(
            "softmax", description="what makes scores of logits"
        )

    suppresses = False
    relative = True

    def decode(self, outputs: tuple[Any, ...], floor: float, options: Any) -> list[Decoded]:
        """See the class."""
        from scipy.special import expit, softmax

        _check("detr", outputs, [("N", "Q", "C"), ("N", "Q", "4")])
        found = []
        for logits, boxes in zip(outputs[0], outputs[1], strict=True):
            if options.activation == "softmax":
                scores = softmax(logits, axis=1)[:, :-1]
            else:
                scores = expit(logits)
            found.append(_each_class(_corners(boxes), scores, floor, options.classes))
        return found


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
            f"the outputs have shapes {[tuple(each.shape) for each in outputs]}",
            where=f"suite.output.decode = {name!r}",
            valid=" and ".join(f"({', '.join(shape)})" for shape in wanted),
        )


def _corners(boxes: Any) -> Any:
    """Centre, width and height (M, 4) to corners (M, 4)."""
    import numpy as np

    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _each_class(boxes: Any, scores: Any, floor: float, classes: tuple[int, ...]) -> Decoded:
    """Boxes (A, 4) and scores (A, C): a box may answer for several classes."""
    import numpy as np

    if classes:
        _known(classes, scores.shape[1])
        scores = scores[:, list(classes)]
    rows, categories = np.nonzero(scores >= floor)
    return (
        boxes[rows].astype(np.float32, copy=False),
        scores[rows, categories].astype(np.float32, copy=False),
        categories.astype(np.int64),
    )


def _listed(
    boxes: Any, scores: Any, labels: Any, floor: float, classes: tuple[int, ...]
) -> Decoded:
    """Boxes (M, 4), scores (M,) and classes (M,): one class a box."""
    import numpy as np

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


def _known(classes: tuple[int, ...], count: int) -> None:
    for each in classes:
        if not 0 <= each < count:
            raise DataError(
                f"the network has no class {each}",
                where="suite.output.options.classes",
                valid=f"0 to {count - 1}",
            )
