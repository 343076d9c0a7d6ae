"""Forms of outputs of masks, segments, keypoints, rotated boxes and tracks, for
`pytest-perfgate init`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_perfgate.cli.init_decodings import decodings, known_length, shape_text
from pytest_perfgate.cli.init_facts import (
    CLASSIFICATION,
    CLIPS,
    DETECTION,
    INSTANCES,
    ORIENTED,
    PANOPTIC,
    POSE,
    SEGMENTATION,
    TRACKING,
    DataFacts,
)
from pytest_perfgate.cli.init_model import ModelFacts, Shape

_LISTED = 1000  # rows that a list of detections has, at most; a table of anchors has more


@dataclass(frozen=True)
class Form:
    """How outputs are read.

    Attributes:
        output: keys of `[suite.output]`.
        why: the evidence.
        classes: how many the network has; None: the outputs do not say.
        pixels: how networks of this form take pixels: "ultralytics", "imagenet" or "plain".
        scores: whether the outputs have scores, whose shift can be budgeted.
        in_options: whether the order of classes is an option of the decoder.
    """

    output: Mapping[str, Any]
    why: str
    classes: int | None = None
    pixels: str = "plain"
    scores: bool = True
    in_options: bool = False
    unknown: tuple[str, ...] = field(default=())


def form(task: str, model: ModelFacts, data: DataFacts) -> Form | None:
    """The form that a model's outputs have for the task; None: they fit none."""
    if not model.shapes:
        return None
    if task == ORIENTED:
        return _oriented(model)
    forms = {INSTANCES: _instances, SEGMENTATION: _segmentation, PANOPTIC: _panoptic, POSE: _pose}
    return forms[task](model, data) if task in forms else None


def fits(task: str, model: ModelFacts, data: DataFacts) -> bool:
    """Whether a model's outputs can be those of the task."""
    shapes = model.shapes
    if task in {CLASSIFICATION, CLIPS}:
        return len(shapes) == 1 and len(shapes[0]) == 2 and (task == CLIPS) == bool(model.states)
    if task in {DETECTION, TRACKING}:
        return bool(decodings(shapes, model.names, len(data.classes)))
    return form(task, model, data) is not None


def _whole(model: ModelFacts, index: int = 0) -> bool:
    """Whether an output has whole numbers."""
    return model.outputs[index].kind.startswith(("int", "uint"))


def _segmentation(model: ModelFacts, data: DataFacts) -> Form | None:
    shape = model.shapes[0]
    if len(model.shapes) > 1 and len(model.shapes[1]) != 4:  # auxiliary maps are let pass
        return None
    text = shape_text(shape)
    if len(shape) == 3 or (len(shape) == 4 and shape[1] == 1):
        if _whole(model):
            return Form({"format": "labels"}, f"{text} of whole numbers", None, "imagenet", False)
        if len(data.classes) in {0, 2}:
            more = {"activation": "none"} if model.last == "Sigmoid" else {}
            return Form({"format": "binary", **more}, f"{text}: one channel", 2, "imagenet")
        return None
    if len(shape) != 4:
        return None
    last = known_length(shape[3])
    channels, layout = known_length(shape[1]), {}
    if last is not None and last != channels and last == (len(data.classes) or len(model.names)):
        channels, layout = last, {"layout": "NHWC"}
    more = {"activation": "none"} if model.last == "Softmax" else {}
    why = f"{text}: {channels or 'some'} channels"
    return Form({"format": "classes", **layout, **more}, why, channels, "imagenet")


def _instances(model: ModelFacts, data: DataFacts) -> Form | None:
    shapes = model.shapes
    axes = [len(shape) for shape in shapes]
    text = ", ".join(map(shape_text, shapes))

    def decoder(name: str, why: str, classes: int | None, pixels: str = "plain") -> Form:
        return Form({"decode": name}, f"{text}: {why}", classes, pixels, in_options=True)

    if axes == [3, 4] and shapes[1][1] != shapes[0][1]:
        prototypes = known_length(shapes[1][1]) or 0
        rows, columns = known_length(shapes[0][1]), known_length(shapes[0][2])
        if columns == 6 + prototypes and (rows or 0) <= _LISTED:
            return decoder("ultralytics_seg_nms", "rows and prototypes", None, "ultralytics")
        if rows is not None and rows > 4 + prototypes:
            why = f"4 + {rows - 4 - prototypes} classes + {prototypes} coefficients, and prototypes"
            return decoder("ultralytics_seg", why, rows - 4 - prototypes, "ultralytics")
        return None
    if axes == [4] and data.classes and shapes[0][1] == len(data.classes):
        return decoder("regions", "a map for each class", len(data.classes), "imagenet")
    if axes[:3] == [3, 2, 3] and shapes[0][2] == 5:
        return decoder("mmdeploy_mask", "boxes with scores, labels, masks", None, "imagenet")
    if axes[:4] in ([2, 1, 1, 4], [2, 1, 1, 3]) and shapes[0][1] == 4:
        return decoder("mask_rcnn", "boxes, labels, scores, masks of one image", None)
    if axes[:2] == [3, 4] and shapes[0][1] == shapes[1][1]:
        count = known_length(shapes[0][2])
        classes = None if count is None else count - 1
        return decoder("mask_queries", "classes and masks of queries", classes, "imagenet")
    return None


def _panoptic(model: ModelFacts, data: DataFacts) -> Form | None:
    shapes = model.shapes
    axes = [len(shape) for shape in shapes]
    text = ", ".join(map(shape_text, shapes))
    if axes == [3]:
        if not _whole(model):
            return None
        why = f"{text} of whole numbers: class * 1000 + instance"
        unknown = ("the divisor of the map's numbers: 1000 is usual",)
        return Form({"format": "encoded"}, why, None, "imagenet", False, unknown=unknown)
    if axes[:2] == [3, 3] and shapes[1][2] in (2, 3):
        scores = shapes[1][2] == 3
        return Form({"format": "segments"}, f"{text}: ids and a table", None, "imagenet", scores)
    if axes[:2] == [3, 4] and shapes[0][1] == shapes[1][1]:
        count = known_length(shapes[0][2])
        stuff = [index for index, thing in enumerate(data.things) if not thing]
        output = {"format": "queries", **({"stuff": stuff} if stuff else {})}
        why = f"{text}: classes and masks of queries"
        return Form(output, why, None if count is None else count - 1, "imagenet")
    return None


def _pose(model: ModelFacts, data: DataFacts) -> Form | None:
    shape = model.shapes[0]
    text = shape_text(shape)
    if len(shape) == 4:
        count = known_length(shape[1])
        if data.keypoints and count != data.keypoints:
            return None
        unknown = (
            "the grid of the heat maps: edges is usual",
            "the crop around an object: set crop in [suite.data] for a top-down network",
        )
        why = f"{text}: a heat map for each keypoint"
        return Form({"format": "heatmaps"}, why, None, "imagenet", unknown=unknown)
    if len(shape) != 3:
        return None
    keypoints, numbers = model.keypoints or (data.keypoints or 17, 3)
    rows, columns = known_length(shape[1]), known_length(shape[2])
    more = {"keypoint_numbers": 2} if numbers == 2 else {}
    if columns == 6 + numbers * keypoints and (rows or 0) <= _LISTED:
        why = f"{text}: box, score, class and {keypoints} keypoints"
        return Form({"format": "ultralytics_nms", **more}, why, None, "ultralytics")
    classes = 0 if rows is None else rows - 4 - numbers * keypoints
    if classes <= 0 or (model.keypoints is None and data.classes and classes != len(data.classes)):
        return None
    if classes > 1:
        more["class_count"] = classes
    why = f"{text}: 4 + {classes} classes + {numbers} * {keypoints} keypoints"
    return Form({"format": "ultralytics", **more}, why, None, "ultralytics")


def _oriented(model: ModelFacts) -> Form | None:
    shape: Shape = model.shapes[0]
    if len(model.shapes) > 1 or len(shape) != 3:
        return None
    text, rows, columns = shape_text(shape), known_length(shape[1]), known_length(shape[2])
    if columns == 7 and (rows or 0) <= _LISTED:
        why = f"{text}: box, score, class, angle"
        return Form({"format": "ultralytics_nms"}, why, None, "ultralytics")
    if rows is None or rows < 6 or (columns is not None and columns <= rows):
        return None
    classes = rows - 5
    if model.names and len(model.names) != classes:
        return None
    why = f"{text}: 4 + {classes} classes + an angle"
    return Form({"format": "ultralytics"}, why, classes, "ultralytics")
