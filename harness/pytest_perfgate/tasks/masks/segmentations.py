"""The masks of COCO instances: polygons, and run-length encoding as numbers or as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.ids import Ids, place, short
from pytest_perfgate.tasks.coco.instances import declared_size, lists
from pytest_perfgate.tasks.masks.runs import Masks, Size, lengths_of, text_of

_VALID = (
    "polygons [[x1, y1, x2, y2, x3, y3, ...], ...] in pixels, or a run-length encoding "
    '{"size": [height, width], "counts": ...}'
)


@dataclass(frozen=True)
class Outlined:
    """COCO instances with the mask of each annotation.

    Attributes:
        coco: the instances; annotations without a box or an area have those of their masks.
        texts: the mask of each annotation (`masks.runs`).
        sizes: height and width of each image.
    """

    coco: dict[str, Any]
    texts: tuple[bytes, ...]
    sizes: tuple[Size, ...]


def outlined(coco: Mapping[str, Any], decoded_size: Callable[[int], Size]) -> Outlined:
    """The masks of `coco`'s annotations. `decoded_size` gives height and width of an image of which
    the file does not say them, by its row.

    Raises:
        DataError: an annotation has no mask, or none of its image's size; names it.
    """
    images, annotations, _ = lists(coco)
    _refuse_other_tasks(annotations)
    sizes = tuple(
        declared_size(row, entry) or decoded_size(row) for row, entry in enumerate(images)
    )
    owners = Ids("image", images).rows_of("image_id", annotations).tolist()
    texts: list[bytes] = []
    boxed: list[Mapping[str, Any]] = []
    nothing: dict[Size, bytes] = {}
    for index, (entry, image) in enumerate(zip(annotations, owners, strict=True)):
        text = _mask(index, entry, sizes[image], short(images[image].get("file_name")))
        texts.append(text)
        size = sizes[image]
        if size not in nothing:
            nothing[size] = text_of([size[0] * size[1]], size)
        boxed.append(_boxed(entry, text, size, nothing[size]))
    return Outlined({**coco, "annotations": boxed}, tuple(texts), sizes)


def _refuse_other_tasks(annotations: Sequence[Mapping[str, Any]]) -> None:
    """Check that the annotations are those of masks.

    Raises:
        DataError: they are of boxes alone, of keypoints, captions or panoptic segments.
    """
    if not annotations or not all(_is_empty(entry.get("segmentation")) for entry in annotations):
        return
    kinds = {
        "segments_info": ("panoptic segments", 'set task = "panoptic"'),
        "caption": ("captions", "name the file of instances"),
        "keypoints": ("keypoints without masks", "name the file of instances"),
    }
    words, step = "boxes without masks", 'set task = "detection", which scores boxes alone'
    for key, kind in kinds.items():
        if key in annotations[0]:
            words, step = kind
            break
    raise DataError(
        f"none of the {len(annotations)} annotations has a segmentation: these are {words}",
        valid=f"segmentation: {_VALID}",
        next_step=step,
    )


def _mask(index: int, entry: Mapping[str, Any], size: Size, image: str) -> bytes:
    given: Any = entry.get("segmentation")
    if isinstance(given, Mapping):
        return _of_runs(index, entry, given, size, image)
    polygons = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(polygons, (list, tuple)) or not polygons:
        raise _no_mask(index, entry, given)
    points = [_polygon(index, entry, polygon) for polygon in polygons]
    from faster_coco_eval.core import mask

    text: bytes = mask.segmToRle(points, size[1], size[0])["counts"]
    return text


def _polygon(index: int, entry: Mapping[str, Any], polygon: Any) -> list[float]:
    try:
        points: npt.NDArray[np.float64] = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
        raise _no_mask(index, entry, polygon)
    numbers: list[float] = points.tolist()
    return numbers


def _of_runs(
    index: int, entry: Mapping[str, Any], given: Mapping[str, Any], size: Size, image: str
) -> bytes:
    counts, declared = given.get("counts"), given.get("size")
    if not isinstance(declared, (list, tuple)) or len(declared) != 2:
        raise _no_mask(index, entry, given)
    if list(declared) != list(size):
        raise DataError(
            f"{place(index, entry)} has a mask of {declared[1]} x {declared[0]} pixels, and its "
            f"image {image} has {size[1]} x {size[0]}",
            valid="one size for an image and its masks",
            next_step="height and width are interchanged: size is [height, width]"
            if list(declared) == [size[1], size[0]]
            else "scale the mask to the image, or restore the image",
        )
    try:
        if isinstance(counts, (str, bytes)):
            text = counts.encode("ascii") if isinstance(counts, str) else counts
            lengths = lengths_of(text)
        else:
            lengths = np.asarray(counts)
            if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
                raise ValueError("no whole numbers")
            text = b""
    except (TypeError, ValueError):
        raise _no_mask(index, entry, given) from None
    if (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise DataError(
            f"{place(index, entry)} has a mask whose runs are of {lengths.sum()} pixels, and its "
            f"image {image} has {size[0] * size[1]}",
            valid="runs that add up to the pixels of the image",
        )
    return text or text_of(lengths, size)


def _no_mask(index: int, entry: Mapping[str, Any], given: Any) -> DataError:
    return DataError(
        f"{place(index, entry)} has the segmentation {short(given)}",
        valid=_VALID,
        next_step="take the annotation out, or draw its mask" if _is_empty(given) else "",
    )


def _is_empty(value: Any) -> bool:
    """Whether a field says nothing; arrays of numpy have no truth value."""
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


def _boxed(entry: Mapping[str, Any], text: bytes, size: Size, nothing: bytes) -> Mapping[str, Any]:
    """The annotation with a box and an area. One without a pixel, whose mask is `nothing`, has a
    box without area, and so is left out with the others of that kind.
    """
    boxed = not _is_empty(entry.get("bbox"))
    if text != nothing and boxed and entry.get("area") is not None:
        return entry
    mask = Masks(size, (text,))
    filled = dict(entry)
    if text == nothing or not boxed:
        filled["bbox"] = mask.boxes()[0].tolist()
    if entry.get("area") is None:
        filled["area"] = int(mask.areas()[0])
    return filled
