"""Decoders that fit the shapes of a network's outputs, for `pytest-perfgate init`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_perfgate.cli.init_model import Shape

_LISTED = 1000  # rows that a list of detections has, at most; a table of anchors has more


@dataclass(frozen=True)
class Decoding:
    """A decoder that fits outputs.

    Attributes:
        classes: how many the network has; None: the outputs do not say.
    """

    decoder: str
    classes: int | None
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)


def decodings(shapes: Sequence[Shape], names: Sequence[str], classes: int) -> list[Decoding]:
    """Decoders that fit the shapes of outputs, the likeliest first. `names` are those of the
    network's classes, and `classes` how many the data has; none and 0 where nothing says so.
    """
    fits = _of_lists(shapes) or (_of_two(shapes) if len(shapes) > 1 else [])
    fits = fits or _of_one(shapes)
    known = len(names) or None
    if known is not None:
        fits = [fit for fit in fits if fit.classes is None or _has(fit, known)]
    # A number of classes that the data has too is no chance.
    return sorted(fits, key=lambda fit: not _has(fit, classes))


def _has(decoding: Decoding, classes: int) -> bool:
    """Whether the outputs are those of so many classes; of DETR one more may be "no object"."""
    more = {1} if decoding.decoder == "detr" else set()
    return decoding.classes in {classes + extra for extra in {0, *more}}


def _of_lists(shapes: Sequence[Shape]) -> list[Decoding]:
    """Decoders of detections that are lists already: suppression is in the graph."""
    axes = [len(shape) for shape in shapes]
    shown = ", ".join(map(shape_text, shapes))
    boxes = [len(shape) > 1 and shape[-1] == 4 for shape in shapes]
    if axes[:1] == [2] and shapes[0][1] == 7:
        return [Decoding("nms_rows", None, f"{shown}: image, box, class, score")]
    if axes == [2, 1] and shapes[0][1] == 6:
        return [Decoding("paddle", None, f"{shown}: class, score and box, and numbers of boxes")]
    if axes == [2, 3, 2, 2] and boxes[1]:
        return [Decoding("efficient_nms", None, f"{shown}: numbers, boxes, scores, classes")]
    if sorted(axes[:3]) == [2, 2, 3] and any(boxes[:3]):
        return [Decoding("rtdetr", None, f"{shown}: labels, boxes, scores")]
    if axes[:3] == [2, 1, 1] and boxes[0]:
        return [Decoding("torchvision", None, f"{shown}: boxes, labels, scores of one image")]
    return []


def _of_two(shapes: Sequence[Shape]) -> list[Decoding]:
    one, two = shapes[0], shapes[1]
    shown = f"{shape_text(one)} and {shape_text(two)}"
    if len(one) == 3 and one[2] == 5 and len(two) == 2:
        return [Decoding("mmdeploy_nms", None, f"{shown}: boxes with scores, and labels")]
    if len(one) != 3 or len(two) != 3:
        return []
    fits = []
    if one[2] == 4:
        fits.append(Decoding("boxes_scores", known_length(two[2]), f"{shown}: boxes, then scores"))
    if two[2] == 4:
        fits.append(Decoding("detr", known_length(one[2]), f"{shown}: classes, then boxes"))
    return fits


def _of_one(shapes: Sequence[Shape]) -> list[Decoding]:
    if not shapes:
        return []
    shape = shapes[0]
    masks = _masks(shapes)
    if len(shape) == 4 and shape[1] == 1 and len(shapes) == 1:
        return [Decoding("text_map", 1, f"{shape_text(shape)}: a map of one channel")]
    if len(shape) != 3:
        return []
    rows, columns = known_length(shape[1]), known_length(shape[2])
    fits = []
    if columns == 6 and (rows is None or rows <= _LISTED):
        fits.append(Decoding("ultralytics_nms", None, f"{shape_text(shape)}: boxes, score, class"))
    if rows is not None and rows > 4 and (columns is None or rows < columns):
        count = rows - 4 - masks
        why = f"{shape_text(shape)}: 4 + {count} classes"
        if masks:
            why += f" + {masks} mask coefficients, which are not scored; "
            why += 'task = "instances" scores masks, as docs/instances.md shows'
        options = {"classes": list(range(count))} if masks else {}
        fits.append(Decoding("ultralytics", count, why, options))
    if columns is not None and columns > 5 and (rows is None or columns < rows):
        count = columns - 5 - masks
        why = f"{shape_text(shape)}: 5 + {count} classes"
        options = {"classes": list(range(count))} if masks else {}
        fits.append(Decoding("yolov5", count, why, options))
    return [fit for fit in fits if fit.classes is None or fit.classes > 0]


def _masks(shapes: Sequence[Shape]) -> int:
    """Mask coefficients after the scores: as many as prototypes (N, M, h, w) in the second
    output.
    """
    return (known_length(shapes[1][1]) or 0) if len(shapes) == 2 and len(shapes[1]) == 4 else 0


def known_length(length: int | str) -> int | None:
    """The length of an axis; None where it is open."""
    return length if isinstance(length, int) else None


def shape_text(shape: Shape) -> str:
    """For people."""
    return f"({', '.join(map(str, shape))})" if shape else "of unknown shape"
