"""A pose network's output: detections with keypoints, or a heat map for each keypoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.output_options import OutputOptions
from pytest_perfgate.tasks.pose.data import Poses, around

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pixels.geometry import Placed

_WHERE = "suite.output"


class Output(OutputOptions):
    """How the network's first output becomes poses: `[suite.output]`."""

    format: Literal["ultralytics", "ultralytics_nms", "heatmaps"] = Field(
        "ultralytics",
        description="the network's first output. ultralytics: (N, 4 + C + 3K, A), centre, width "
        "and height of a box, a score for each class, then x, y and score of each keypoint; "
        "ultralytics_nms: (N, M, 6 + 3K), corners, score, class, then the keypoints; heatmaps: "
        "(N, K, h, w), one object in each image",
    )
    class_count: int = Field(1, ge=1, description="ultralytics: number of the network's classes, C")
    keypoint_numbers: Literal[2, 3] = Field(
        3,
        description="ultralytics and ultralytics_nms: numbers of a keypoint, 2 for a network "
        "without their scores",
    )
    refine: Literal["none", "quarter", "dark"] = Field(
        "quarter",
        description="heatmaps: place within the highest cell. quarter: a quarter of a cell towards "
        "the higher neighbour; dark: the peak of a Gaussian by its derivatives (Zhang et al. 2020)",
    )
    blur: int = Field(
        11, ge=1, description="dark: cells of the blur's kernel before it, an odd number"
    )
    grid: Literal["edges", "centres", "corners"] = Field(
        "edges",
        description="heatmaps: which pixel of the input the cell i of w stands for, of a width W. "
        "edges: i W / w; centres: (i + 0.5) W / w; corners: i (W - 1) / (w - 1), the unbiased data "
        "processing of Huang et al. (2020)",
    )
    activation: Literal["none", "sigmoid"] = Field(
        "none", description="heatmaps: activation from the output to scores"
    )
    keypoints: tuple[int, ...] = Field(
        (),
        description="index of each of the data's keypoints among the network's. Default: the same "
        "order",
    )
    score_threshold: float = Field(0.05, ge=0, le=1, description="lowest score of a detection")
    iou_threshold: float = Field(
        0.7,
        gt=0,
        le=1,
        description="ultralytics: IoU with a better box from which on a box is suppressed",
    )
    max_detections: int = Field(
        20, ge=1, description="largest number of detections per image, best first"
    )

    @field_validator("keypoints")
    @classmethod
    def _each_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value) or any(index < 0 for index in value):
            raise ValueError("indices of the network's keypoints, 0 or more, each once")
        return value

    @field_validator("blur")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("an odd number: the kernel has a middle cell")
        return value


Raw = tuple[Any, Any, Any, Any]
"""Of one image, in pixels of the network's input: keypoints float32 (M, K, 3), scores (M,),
categories (M,), boxes (M, 4) or None, best first."""


class Reading:
    """Reads outputs as `[suite.output]` declares them."""

    def __init__(self, options: Output) -> None:
        self._options = options

    def read(self, outputs: tuple[Any, ...], places: Sequence[Placed]) -> list[Poses]:
        """The network's outputs to one prediction per image, in pixels of the original image.

        Raises:
            DataError: the outputs are not of the declared format.
        """
        if self._options.format == "heatmaps":
            raw = _heat_maps(outputs[0], self._options, places)
        elif self._options.format == "ultralytics":
            raw = _ultralytics(outputs[0], self._options)
        else:
            raw = _ultralytics_nms(outputs[0], self._options)
        return [self._mapped(one, place) for one, place in zip(raw, places, strict=True)]

    def _mapped(self, raw: Raw, place: Placed) -> Poses:
        import numpy as np

        points, scores, categories, boxes = raw
        wanted = self._options.keypoints
        if wanted and max(wanted) >= points.shape[1]:
            raise DataError(
                f"the network has {points.shape[1]} keypoints, and no keypoint {max(wanted)}",
                where=f"{_WHERE}.keypoints",
                valid=f"0 to {points.shape[1] - 1}",
            )
        points = points[:, list(wanted)] if wanted else points.copy()
        offset = np.array(place.offset, dtype=np.float32)
        scale = np.array(place.scale, dtype=np.float32)
        points[..., :2] = (points[..., :2] - offset) / scale
        if boxes is None:
            boxes = around(points)
        else:
            boxes = (boxes - np.tile(offset, 2)) / np.tile(scale, 2)
        height, width = place.original
        limits = np.array([width, height] * 2, dtype=np.float32)
        return Poses(points, scores, categories, np.clip(boxes, 0, limits).astype(np.float32))


def _ultralytics(output: Any, options: Output) -> list[Raw]:
    """As Ultralytics exports YOLOv8, 11 and 12 for pose."""
    from pytest_perfgate.tasks.boxes import suppress
    from pytest_perfgate.tasks.decoders import corners, refuse_other_scores

    first, numbers = 4 + options.class_count, options.keypoint_numbers
    columns = output.shape[1] - first if output.ndim == 3 else 0
    if columns < numbers or columns % numbers:
        raise _other_shape(output, f"(N, {first} + {numbers} * K, A)", columns)
    read = []
    for image in output:
        scores = image[4:first]
        refuse_other_scores(scores)
        category = scores.argmax(axis=0)  # an anchor has the keypoints of one object
        best = scores.max(axis=0)
        rows = (best >= options.score_threshold).nonzero()[0]
        boxes = corners(image[:4, rows].T, "cxcywh")
        kept = suppress(
            boxes, best[rows], category[rows], options.iou_threshold, options.max_detections
        )
        rows = rows[kept]
        points = image[first:, rows].T
        read.append(_detections(points, best[rows], category[rows], boxes[kept], numbers))
    return read


def _ultralytics_nms(output: Any, options: Output) -> list[Raw]:
    """As Ultralytics exports pose networks with `nms=True`, and YOLO26 always."""
    import numpy as np

    from pytest_perfgate.tasks.decoders import refuse_other_scores

    numbers = options.keypoint_numbers
    columns = output.shape[2] - 6 if output.ndim == 3 else 0
    if columns < numbers or columns % numbers:
        raise _other_shape(output, f"(N, M, 6 + {numbers} * K)", columns)
    read = []
    for image in output:
        scores = image[:, 4]
        refuse_other_scores(scores)
        order = np.argsort(-scores, kind="stable")
        used = (scores[order] >= options.score_threshold) & (scores[order] > 0)
        rows = order[used][: options.max_detections]
        read.append(
            _detections(image[rows, 6:], scores[rows], image[rows, 5], image[rows, :4], numbers)
        )
    return read


def _detections(points: Any, scores: Any, categories: Any, boxes: Any, numbers: int) -> Raw:
    """Keypoints (M, K * numbers) with what else is known of each detection."""
    import numpy as np

    shaped = points.reshape(len(points), points.shape[1] // numbers, numbers).astype(np.float32)
    if numbers == 2:
        shaped = np.insert(shaped, 2, 1.0, axis=2)
    sure = shaped[..., 2]
    if sure.size and (sure.min() < -_ROUNDING or sure.max() > 1 + _ROUNDING):
        raise DataError(
            f"the scores of keypoints go from {sure.min():.3g} to {sure.max():.3g}",
            where=_WHERE,
            valid="0 to 1, or keypoint_numbers = 2 for a network that gives none",
            next_step="compare class_count and keypoint_numbers with the network's output",
        )
    kinds = categories.astype(np.int64)
    return shaped, scores.astype(np.float32), kinds, boxes.astype(np.float32)


def _other_shape(output: Any, valid: str, columns: int) -> DataError:
    return DataError(
        f"the output has the shape {tuple(output.shape)}, in which {max(columns, 0)} columns are "
        "left for keypoints",
        where=_WHERE,
        valid=valid,
        next_step="compare format, class_count and keypoint_numbers with the network's output",
    )


_ROUNDING = 0.001
"""Scores of exports are made by a sigmoid."""

_SLACK = 0.5
"""Peaks of a map that was trained to reach 1 pass it by less."""


def _heat_maps(output: Any, options: Output, places: Sequence[Placed]) -> list[Raw]:
    """One object in each image: the score is the mean of the peaks, clipped to [0, 1]."""
    import numpy as np

    from pytest_perfgate.tasks.pose.peaks import peaks

    if output.ndim != 4 or min(output.shape[2:]) < 2:
        raise DataError(
            f"the output has the shape {tuple(output.shape)}",
            where=_WHERE,
            valid="(N, K, h, w), a heat map for each keypoint",
        )
    maps = output.astype(np.float32, copy=False)
    if options.activation == "sigmoid":
        from scipy.special import expit

        maps = expit(maps)
    if maps.max() > 1 + _SLACK:
        raise DataError(
            f"the heat maps go up to {maps.max():.3g}",
            where=_WHERE,
            valid="scores, up to 1",
            next_step='set activation = "sigmoid", if these are logits',
        )
    read = []
    for image, place in zip(maps, places, strict=True):
        points, heights = peaks(image, options.refine, options.blur)
        sizes = np.array(place.network[::-1], dtype=np.float32)
        cells = np.array(image.shape[:0:-1], dtype=np.float32)
        if options.grid == "corners":
            points = points * (sizes - 1) / (cells - 1)
        else:
            points = (points + (0.5 if options.grid == "centres" else 0.0)) * sizes / cells
        sure = np.clip(heights, 0.0, 1.0)
        pose = np.concatenate([points, sure[:, None]], axis=1)[None].astype(np.float32)
        score = sure.mean(keepdims=True).astype(np.float32)
        kept = score >= options.score_threshold
        read.append((pose[kept], score[kept], np.zeros(int(kept.sum()), np.int64), None))
    return read
