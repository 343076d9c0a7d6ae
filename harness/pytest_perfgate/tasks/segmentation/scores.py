"""What pixels were called, held to what they are: scores, and their uncertainty from the images.

A mean of intersections over unions is no ratio of sums over images. It is linearised about its
value: an image's share is the value plus the image's influence on it (the infinitesimal jackknife,
Jaeckel 1972; Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", chapter 6). The
mean of these shares is the value itself, and their spread over images is its uncertainty.

Intervals reckon with one more object that is lost (`stats.average_precision.Estimate`). An object
here is a class in an image: the sums of an image are in as many parts as an image has classes on
average. A whole image as the object would hide a network that is as wrong in every image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.tasks.segmentation.boundary import boundary_f
from pytest_perfgate.tasks.unscored import unscored
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    from pytest_perfgate.tasks.segmentation.data import SegmentationData, Segments

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Sums = tuple[Floats, Floats]

_OF_TRUTH = ("miou", "pixel_accuracy", "boundary_f")
_NO_MASKS = "the data has no masks"
_NAMED = 8  # classes that a note names


@dataclass(frozen=True)
class Confusion:
    """Pixels of every image by class, int64 (images, C) each; ignored pixels are in none.

    Attributes:
        both: of the class, and predicted as it.
        true: of the class.
        predicted: predicted as the class.
        pixels: all that count, (images,).
    """

    both: Counts
    true: Counts
    predicted: Counts
    pixels: Counts

    @property
    def union(self) -> Counts:
        """Pixels that are of the class or predicted as it."""
        return self.true + self.predicted - self.both


def evaluate(data: SegmentationData, predictions: Sequence[Segments]) -> Accuracy:
    """Scores of the predicted class of every pixel that is not ignored.

    Raises:
        DataError: a prediction is missing, of another size, or over other classes.
    """
    count = len(data.images)
    if len(predictions) != count:
        raise DataError(f"there are {len(predictions)} predictions for {count} images")
    unmeasured = {}
    if any(prediction.scores is None for prediction in predictions):
        unmeasured["score_shift"] = "the model gives labels, which have no scores"
    digest = hashlib.sha256()
    for prediction in predictions:
        digest.update(f"{prediction.labels.shape}".encode())
        digest.update(prediction.labels.astype(np.uint16).tobytes())
    if not data.labelled:
        return unscored(data, digest.hexdigest(), _NO_MASKS, _OF_TRUTH, unmeasured)
    confusion, edges = _compared(data, predictions)
    if not confusion.pixels.sum():
        raise DataError(
            "every pixel of every mask is ignored", next_step="check ignore_index and ids"
        )
    present = np.flatnonzero(confusion.union.sum(axis=0))
    iou = _ratio(confusion.both, confusion.union)[present]
    parts = float((confusion.true > 0).sum()) / count
    ratios = {
        "miou": _in_parts(iou_shares(confusion, present), np.ones(count), parts),
        "pixel_accuracy": _in_parts(confusion.both.sum(axis=1), confusion.pixels, parts),
    }
    if np.isnan(edges).all():
        unmeasured["boundary_f"] = "no mask and no prediction has a boundary between classes"
    else:
        ratios["boundary_f"] = _in_parts(np.nan_to_num(edges), ~np.isnan(edges), parts)
    return Accuracy(
        values={
            "miou": float(iou.mean()),
            **{
                name: float(top.sum() / bottom.sum())
                for name, (top, bottom) in ratios.items()
                if name != "miou"  # but for rounding the mean of its shares
            },
        },
        per_category={
            str(data.classes[label]): float(score)
            for label, score in zip(present.tolist(), iou, strict=True)
        },
        images=count,
        data_digest=data.digest,
        predictions_digest=digest.hexdigest(),
        ratios={
            name: Ratio(numerator=Packed.of(top), denominator=Packed.of(bottom))
            for name, (top, bottom) in ratios.items()
        },
        notes=(*data.notes, *_left_out(data, present)),
        unmeasured=unmeasured,
    )


def _left_out(data: SegmentationData, present: npt.NDArray[Any]) -> tuple[str, ...]:
    """The classes that miou does not count."""
    names = [str(name) for label, name in enumerate(data.classes) if label not in set(present)]
    if not names:
        return ()
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    counted = count_of(len(present), "class", "classes")
    return (f"miou is the mean over {counted}; no mask or prediction has a pixel of: {shown}",)


def _compared(data: SegmentationData, predictions: Sequence[Segments]) -> tuple[Confusion, Floats]:
    """The confusion of all images, and the boundary F of each, NaN for one without boundaries."""
    rows, edges = [], []
    classes = len(data.classes)
    for index, prediction in enumerate(predictions):
        true = data.mask(index)
        labels = fitted(data, index, prediction, true.shape)
        ignored = true == classes
        rows.append(confusion_of(true, labels, classes))
        edge = boundary_f(labels, true, ignored, data.boundary_tolerance, classes)
        edges.append(np.nan if edge is None else edge)
        data.report(index + 1, len(predictions))
    both, true_counts, predicted, pixels = (np.stack(column) for column in zip(*rows, strict=True))
    return Confusion(both, true_counts, predicted, pixels), np.array(edges, dtype=np.float64)


def fitted(
    data: SegmentationData, index: int, prediction: Segments, shape: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """The labels of an image, int64 (H, W); `len(data.classes)` for a class that the data has not.

    Raises:
        DataError: they are of another size, or over other classes.
    """
    classes = len(data.classes)
    if prediction.labels.shape != shape:
        raise DataError(
            f"the prediction of image {index} has the shape {prediction.labels.shape}, and its "
            f"mask {shape}",
            where="suite.output",
        )
    if prediction.channels is not None and prediction.channels != classes:
        raise DataError(
            f"the model gives {prediction.channels} classes, and the data has {classes}",
            where="suite.output",
            valid=f"a channel for each of {', '.join(map(str, data.classes[:_NAMED]))}"
            f"{', ...' if classes > _NAMED else ''}",
            next_step="a missing or additional background is the usual cause; name the network's "
            "channels in the data's order: classes = [1, 2, 3]",
        )
    labels: npt.NDArray[np.int64] = prediction.labels.astype(np.int64)
    highest = int(labels.max(initial=0))
    if prediction.channels is None and highest >= classes:
        raise DataError(
            f"the model gives the label {highest} for image {index}, and the data has {classes} "
            "classes",
            where="suite.output",
            valid=f"0 to {classes - 1}",
            next_step="name the network's labels in the data's order: classes = [1, 2, 3]",
        )
    return labels


def confusion_of(
    true: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int
) -> tuple[Counts, Counts, Counts, np.int64]:
    """Pixels of one image by class: right, true and predicted, (C,) each, and how many count. A
    `true` class (H, W) of `classes` is ignored; a label of it is of no class.
    """
    pairs = np.bincount((true * (classes + 1) + labels).reshape(-1), minlength=(classes + 1) ** 2)
    table = pairs.reshape(classes + 1, classes + 1)[:classes]
    return (
        table.diagonal().astype(np.int64),
        table.sum(axis=1),
        table[:, :classes].sum(axis=0),
        table.sum(),
    )


def _ratio(top: Counts, bottom: Counts) -> Floats:
    """Sums over images, divided: (C,), NaN where there is nothing to divide by."""
    below = bottom.sum(axis=0).astype(np.float64)
    result: Floats = np.divide(
        top.sum(axis=0), below, out=np.full(len(below), np.nan), where=below > 0
    )
    return result


def iou_shares(confusion: Confusion, present: npt.NDArray[Any]) -> Floats:
    """Each image's share (images,) of the mean IoU over the classes `present`."""
    both = confusion.both[:, present].astype(np.float64)
    union = confusion.union[:, present].astype(np.float64)
    total = union.sum(axis=0)
    value = both.sum(axis=0) / total
    shares: Floats = (value + len(both) * (both - value * union) / total).mean(axis=1)
    return shares


def _in_parts(
    top: npt.NDArray[Any], bottom: npt.NDArray[Any], parts: float
) -> tuple[Floats, Floats]:
    """Numerator and denominator of every image, (images,) each, scaled so that the denominator is
    `parts` on average.
    """
    scale = max(1.0, parts) / float(bottom.mean())
    return top * scale, bottom * scale


def pack(predictions: Sequence[Segments]) -> dict[str, npt.NDArray[Any]]:
    """Predictions as arrays: labels as runs in reading order (a map of a megapixel has some
    thousands), `shapes` (images, 2), `runs` (images,), `lengths` and `labels` of all runs, and
    `scores` float32 (images, P, C) where there are some.
    """
    lengths, labels, runs = [], [], []
    for prediction in predictions:
        flat = prediction.labels.reshape(-1)
        begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        lengths.append(np.diff(np.append(begins, len(flat))).astype(np.uint32))
        labels.append(flat[begins].astype(np.uint16))
        runs.append(len(begins))
    packed = {
        "shapes": np.array([one.labels.shape for one in predictions], np.int64).reshape(-1, 2),
        "runs": np.array(runs, dtype=np.int64),
        "lengths": np.concatenate([np.zeros(0, np.uint32), *lengths]),
        "labels": np.concatenate([np.zeros(0, np.uint16), *labels]),
    }
    if all(prediction.scores is not None for prediction in predictions):
        packed["scores"] = np.stack([prediction.scores for prediction in predictions])
    return packed


class PackedLabels(Sequence[Any]):
    """The labels of packed predictions, uint16 (H, W) each, unpacked when asked for."""

    def __init__(self, packed: Mapping[str, npt.NDArray[Any]]) -> None:
        self._packed = packed
        self._ends = np.cumsum(packed["runs"])

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        end = self._ends[index]
        part = slice(end - self._packed["runs"][index], end)
        flat = np.repeat(self._packed["labels"][part], self._packed["lengths"][part])
        return flat.reshape(self._packed["shapes"][index])


def compare(
    ours: Mapping[str, npt.NDArray[Any]], other: Mapping[str, npt.NDArray[Any]]
) -> dict[str, Sums]:
    """`agreement` and `score_shift` of two recipes' packed predictions of the same images: `other`
    is the reference. Without scores on both sides there is no `score_shift`.

    Raises:
        ValueError: the two are not of the same images.
    """
    if not np.array_equal(ours["shapes"], other["shapes"]):
        raise ValueError(f"{len(ours['shapes'])} and {len(other['shapes'])} images")
    same = np.array(
        [
            int((left == right).sum())
            for left, right in zip(PackedLabels(ours), PackedLabels(other), strict=True)
        ],
        dtype=np.int64,
    )
    ends = np.cumsum(other["runs"])[:-1]
    parts = float(np.mean([len(np.unique(runs)) for runs in np.split(other["labels"], ends)]))
    sums = {"agreement": _in_parts(same, ours["shapes"].prod(axis=1), parts)}
    if "scores" in ours and "scores" in other and ours["scores"].shape == other["scores"].shape:
        called = other["scores"].argmax(axis=2)[..., None]
        apart = np.abs(
            np.take_along_axis(ours["scores"], called, axis=2).astype(np.float64)
            - np.take_along_axis(other["scores"], called, axis=2)
        )
        sums["score_shift"] = _in_parts(apart[..., 0].mean(axis=1), np.ones(len(same)), parts)
    return sums
