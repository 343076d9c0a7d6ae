"""Decoders of instances for the outputs that other projects export, one convention each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.decoders import (
    BoxOptions,
    CentreOptions,
    Classes,
    above,
    as_corners,
    check_shapes,
    other_shapes,
    used,
)
from pytest_perfgate.tasks.mask_decoders import MaskDecoder, MaskedBoxes

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pixels.geometry import Placed

_MASKS = "what a mask lies over: its box, the network's input or the picture. Default: by its size"
_THRESHOLD = "score above which a pixel is of the object"
_BACKGROUND = str(Classes.model_fields["background"].description)


class UltralyticsSeg(MaskDecoder):
    """Two outputs, as Ultralytics exports its `-seg` networks: a table (N, 4 + C + K, A) with
    centre x, y, width and height in network pixels, a score in [0, 1] for each class, and K mask
    coefficients; and K mask prototypes (N, K, h, w). A mask is the sum of the prototypes, each
    times its coefficient, cut off by its box (Bolya et al. 2019, "YOLACT").
    """

    Options = CentreOptions

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[MaskedBoxes]:
        """See the class."""
        from pytest_perfgate.tasks.masks.painting import Planes

        check_shapes("ultralytics_seg", outputs, [("N", "4 + C", "A"), ("N", "K", "h", "w")])
        kept = outputs[1].shape[1]
        _refuse_few("ultralytics_seg", outputs, outputs[0].shape[1] - 4 - kept)
        decoded = []
        for table, prototypes in zip(outputs[0], outputs[1], strict=True):
            rows, scores, categories = above(table[4:-kept].T, floor, options)
            planes = Planes(prototypes, table[-kept:].T, cut=True)
            boxes = as_corners(table[:4].T[rows], options)
            decoded.append(MaskedBoxes(boxes, scores, categories, planes, rows))
        return decoded


class UltralyticsSegNms(MaskDecoder):
    """Two outputs, as Ultralytics exports its `-seg` networks with `nms=True`: rows (N, M, 6 + K)
    with corners in network pixels, score, class and K mask coefficients; and K mask prototypes
    (N, K, h, w). Rows that are not used have the score 0.
    """

    Options = BoxOptions
    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[MaskedBoxes]:
        """See the class."""
        from pytest_perfgate.tasks.masks.painting import Planes

        check_shapes("ultralytics_seg_nms", outputs, [("N", "M", "6 + K"), ("N", "K", "h", "w")])
        kept = outputs[1].shape[1]
        if outputs[0].shape[2] != 6 + kept:
            _refuse_few("ultralytics_seg_nms", outputs, 0)
        decoded = []
        for table, prototypes in zip(outputs[0], outputs[1], strict=True):
            rows, scores, categories = used(table[:, 4], table[:, 5], floor, options)
            planes = Planes(prototypes, table[:, 6:], cut=True)
            boxes = as_corners(table[rows, :4], options)
            decoded.append(MaskedBoxes(boxes, scores, categories, planes, rows))
        return decoded


def _refuse_few(name: str, outputs: tuple[Any, ...], classes: int) -> None:
    """Check that columns are left for the scores of classes."""
    if classes > 0:
        return
    count = outputs[1].shape[1]
    raise DataError(
        f"the outputs have shapes {[tuple(output.shape) for output in outputs]}: {count} mask "
        "prototypes, and other columns than a box, classes and as many coefficients",
        where=f"suite.output.decode = {name!r}",
        valid="(N, 4 + C + K, A) and (N, K, h, w), or with nms=True (N, M, 6 + K) and (N, K, h, w)",
        next_step="name the other of the two: ultralytics_seg, ultralytics_seg_nms",
    )


Where = Literal["box", "input", "picture"]


class MaskRcnn(MaskDecoder):
    """Four outputs without a batch, as Mask R-CNN is exported by torchvision and Detectron2: boxes
    (M, 4) as corners in network pixels, labels (M,), scores (M,) and mask scores (M, 1, h, w),
    (M, h, w) or, a mask for each class, (M, C, h, w). Labels are those in whole numbers, or stand
    before the scores. Masks of 28 x 28 lie over their box; those of the size of the network's input
    or of the picture over all of it (He et al. 2017).
    """

    class Options(BoxOptions):
        """Where masks lie; the background is class 0."""

        background: int | None = Field(0, ge=0, description=_BACKGROUND)
        masks: Where | None = Field(None, description=_MASKS)
        mask_threshold: float = Field(0.5, gt=0, lt=1, description=_THRESHOLD)

    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[MaskedBoxes]:
        """See the class.

        Raises:
            DataError: the batch has several images.
        """
        boxes, labels, scores, masks = _four(outputs)
        if len(images) != 1:
            raise DataError(
                f"the outputs are of one image, and the batch has {len(images)}",
                where="suite.output.decode = 'mask_rcnn'",
                next_step="[suite] batch = 1",
            )
        rows, kept, categories = used(scores, labels, floor, options)
        planes = _scored_planes(_of_labels(masks, labels), images[0], options)
        return [MaskedBoxes(as_corners(boxes[rows], options), kept, categories, planes, rows)]


class MmdeployMask(MaskDecoder):
    """Three outputs, as MMDeploy exports Mask R-CNN of MMDetection: `dets` (N, M, 5), corners in
    network pixels and score, `labels` (N, M), and mask scores `masks` (N, M, h, w), over their box
    or over the network's input.
    """

    class Options(BoxOptions):
        """Where masks lie."""

        masks: Where | None = Field(None, description=_MASKS)
        mask_threshold: float = Field(0.5, gt=0, lt=1, description=_THRESHOLD)

    suppresses = False

    @override
    def decode(
        self, outputs: tuple[Any, ...], floor: float, options: Any, images: Sequence[Placed]
    ) -> list[MaskedBoxes]:
        """See the class."""
        wanted = [("N", "M", "5"), ("N", "M"), ("N", "M", "h", "w")]
        check_shapes("mmdeploy_mask", outputs, wanted)
        decoded = []
        for table, labels, masks, image in zip(*outputs[:3], images, strict=True):
            rows, scores, categories = used(table[:, 4], labels, floor, options)
            planes = _scored_planes(masks, image, options)
            boxes = as_corners(table[rows, :4], options)
            decoded.append(MaskedBoxes(boxes, scores, categories, planes, rows))
        return decoded


def _four(outputs: tuple[Any, ...]) -> tuple[Any, Any, Any, Any]:
    """Boxes, labels, scores and masks (M, C, h, w) among the outputs, by their shapes."""
    boxes = [one for one in outputs if one.ndim == 2 and one.shape[1] == 4]
    lists = [one for one in outputs if one.ndim == 1]
    masks = [one for one in outputs if one.ndim in {3, 4}]
    counts = {len(one) for one in (*boxes[:1], *lists[:2], *masks[:1])}
    if not boxes or len(lists) < 2 or not masks or len(counts) != 1:
        raise other_shapes(
            "mask_rcnn", outputs, "boxes (M, 4), labels (M,), scores (M,) and masks (M, 1, h, w)"
        )
    labels, scores = lists[:2]
    if scores.dtype.kind in "iu" and labels.dtype.kind not in "iu":
        labels, scores = scores, labels
    return boxes[0], labels, scores, masks[0][:, None] if masks[0].ndim == 3 else masks[0]


def _of_labels(masks: Any, labels: Any) -> Any:
    """Masks (M, C, h, w) to the one of each object's own class, (M, h, w).

    Raises:
        DataError: there is no mask for a class.
    """
    import numpy as np

    channels = masks.shape[1]
    if channels == 1:
        return masks[:, 0]
    own = labels.astype(np.int64)
    if own.max(initial=0) >= channels:
        raise DataError(
            f"the network gives a class {own.max()}, and masks of {channels} classes",
            where="suite.output.decode = 'mask_rcnn'",
            valid="a mask (M, 1, h, w), or one for each class (M, C, h, w)",
        )
    return masks[np.arange(len(masks)), own]


def _scored_planes(masks: Any, image: Placed, options: Any) -> Any:
    """Planes of mask scores (M, h, w) that lie where is declared, or where their size says."""
    from pytest_perfgate.tasks.masks.painting import Planes

    low, high = (float(value) for value in (masks.min(initial=0), masks.max(initial=0)))
    if low < -1e-3 or high > 1 + 1e-3:
        raise DataError(
            f"the mask values go from {low:.3g} to {high:.3g}",
            where="suite.output.decode",
            valid="scores from 0 to 1",
            next_step="export the network with its sigmoid, and with scores of masks, not with "
            "masks that are cut at a threshold and scaled to 255",
        )
    where: Where | None = options.masks
    if where is None:
        sizes: dict[tuple[int, ...], Where] = {image.original: "picture", image.network: "input"}
        where = sizes.get(masks.shape[1:], "box")
    return Planes(masks, over=where, logits=False, threshold=options.mask_threshold)
