"""Finds the images that a recipe segments worse than its reference, by the classes that it lost."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.records.image_losses import OVERLAY_BYTES, SeenBox, WorseImage
from pytest_perfgate.tasks.segmentation.scores import PackedLabels, confusion_of

if TYPE_CHECKING:
    from pytest_perfgate.tasks.segmentation.data import SegmentationData

NOTICEABLE = 0.05
"""An image that lost less than this in all is not called worse."""

_SIDE = 240  # pixels of an overlay's longer side, at most
_WRONG = (230, 0, 120, 190)  # red, green, blue and opacity of a wrong pixel
_LEAST_SHARE = 64  # of 255: of a small pixel that must be wrong to be coloured

Floats = npt.NDArray[np.float64]


def worse_images(
    data: SegmentationData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
) -> list[WorseImage] | None:
    """The images of `data` in which the packed prediction `ours` lost most beside `other`, its
    reference's; worst first, at most `most`. None without masks.

    A class's score in an image is its intersection over union there. An image's loss is the sum,
    over the classes of its mask, of what the reference's score is higher by.
    """
    if not data.labelled:
        return None
    left, right = PackedLabels(ours), PackedLabels(other)
    lost = []
    for index in range(len(data.images)):
        true = data.mask(index)
        after, before = (_scores(true, side[index], len(data.classes)) for side in (left, right))
        loss = float(np.nansum(np.clip(before - after, 0.0, None)))
        if loss >= NOTICEABLE:
            lost.append((loss, index))
    lost.sort(key=lambda image: (-image[0], image[1]))
    return [_worse(data, index, loss, left[index], right[index]) for loss, index in lost[:most]]


def _worse(
    data: SegmentationData,
    index: int,
    loss: float,
    ours: npt.NDArray[Any],
    other: npt.NDArray[Any],
) -> WorseImage:
    true = data.mask(index)
    return WorseImage(
        image=index,
        loss=round(loss, 4),
        reference=_boxes(data, true, other),
        recipe=_boxes(data, true, ours),
        reference_overlay=overlay(true, other, len(data.classes)),
        recipe_overlay=overlay(true, ours, len(data.classes)),
    )


def class_boxes(data: SegmentationData, index: int) -> tuple[SeenBox, ...]:
    """The box around the pixels of each class of an image's mask, in the order of classes."""
    true = data.mask(index)
    return tuple(
        SeenBox(box=around(true == label), category=str(data.classes[label]))
        for label in _labels(true, len(data.classes))
    )


def _labels(true: npt.NDArray[Any], classes: int) -> list[int]:
    return [label for label in np.unique(true).tolist() if label < classes]


def _scores(true: npt.NDArray[Any], labels: npt.NDArray[Any], classes: int) -> Floats:
    """The intersection over union of each class of a mask, (C,), NaN for others."""
    both, own, predicted, _ = confusion_of(true, labels.astype(np.int64), classes)
    union = (own + predicted - both).astype(np.float64)
    scores: Floats = np.divide(both, union, out=np.full(classes, np.nan), where=own > 0)
    return scores


def _boxes(
    data: SegmentationData, true: npt.NDArray[Any], labels: npt.NDArray[Any]
) -> tuple[SeenBox, ...]:
    """The box around the pixels predicted as each class, with the score of the classes of the
    mask.
    """
    classes = len(data.classes)
    counted = np.where(true == classes, classes, labels)
    scores = _scores(true, labels, classes)
    objects = {label: place for place, label in enumerate(_labels(true, classes))}
    boxes = [
        SeenBox(
            box=around(counted == label),
            category=str(data.classes[label]),
            score=round(float(np.nan_to_num(scores[label])), 4),
            object=objects.get(label),
        )
        for label in _labels(counted, classes)
    ]
    return tuple(sorted(boxes, key=lambda box: -(box.score or 0.0)))


def around(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """The smallest box around the pixels of a mask (H, W) that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def overlay(true: npt.NDArray[Any], labels: npt.NDArray[Any], classes: int) -> str:
    """A PNG, base64, to be laid over the image: wrong pixels coloured, all others clear. Ignored
    pixels are clear.
    """
    from PIL import Image

    wrong = Image.fromarray(((labels != true) & (true != classes)).astype(np.uint8) * 255)
    side = _SIDE
    while True:
        small = wrong.copy()
        small.thumbnail((side, side), Image.Resampling.BOX)
        marks = small.point(lambda share: 255 if share >= _LEAST_SHARE else 0)
        clear = Image.new("P", small.size, 0)
        clear.putpalette([0, 0, 0, *_WRONG[:3]])
        clear.paste(1, mask=marks)
        out = io.BytesIO()
        clear.save(out, "PNG", transparency=bytes([0, _WRONG[3]]), bits=1, optimize=True)
        text = base64.b64encode(out.getvalue()).decode("ascii")
        if len(text) <= OVERLAY_BYTES:
            return text
        side //= 2
