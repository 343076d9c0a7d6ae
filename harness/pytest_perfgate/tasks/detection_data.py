"""Detection: annotated images, and what is predicted of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError, suggestion

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class DetectionData:
    """Images and their COCO annotations.

    Attributes:
        images: uint8 (H, W, 3) RGB each, in the order of `coco["images"]`.
        coco: instances as COCO writes them: images, annotations, categories.

    Raises:
        DataError: the two do not fit together; names the id.
    """

    images: Sequence[Any]
    coco: dict[str, Any]

    def __post_init__(self) -> None:
        check(self.coco, len(self.images))

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """One text per image, equal only for equal pixels."""
        from pytest_perfgate.tasks.image_files import digest

        return tuple(digest(self.images[index]) for index in range(len(self.images)))

    @cached_property
    def digest(self) -> str:
        """One text for all images and annotations, equal only when all of them are."""
        text = "\n".join(self.digests) + json.dumps(self.coco, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Prediction:
    """What was found in one image: `boxes` float32 (M, 4) corners in its pixels, `scores` float32
    (M,) best first, `categories` int64 (M,), indices into the data's categories.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]


def check(coco: Mapping[str, Any], images: int) -> None:
    """Nothing, when `coco` is whole and fits `images` images.

    Raises:
        DataError: names what is wrong and the id.
    """
    for key in ("images", "annotations", "categories"):
        if not isinstance(coco.get(key), list):
            raise DataError(
                f"the COCO instances have no list {key!r}", valid="images, annotations, categories"
            )
    ids = [entry.get("id") for entry in coco["images"]]
    if len(set(ids)) != len(ids):
        raise DataError("two images of the COCO instances have one id")
    if len(ids) != images:
        raise DataError(f"there are {images} images and {len(ids)} entries for them")
    if not ids:
        raise DataError("there are no images")
    known = set(ids)
    categories = {entry.get("id") for entry in coco["categories"]}
    if not categories:
        raise DataError("there are no categories")
    names = [entry.get("name") for entry in coco["categories"]]
    if None in names or len(set(names)) != len(names):
        raise DataError(
            f"the categories are named {names}", valid="a name for each, no two of them the same"
        )
    for entry in coco["annotations"]:
        place = f"annotation {entry.get('id')!r}"
        if entry.get("image_id") not in known:
            raise DataError(
                f"{place} names the image {entry.get('image_id')!r}, which is not there"
            )
        if entry.get("category_id") not in categories:
            raise DataError(
                f"{place} names the category {entry.get('category_id')!r}, which is not there",
                valid=suggestion(str(entry.get("category_id")), (str(each) for each in categories)),
            )
        box = entry.get("bbox")
        if (
            not isinstance(box, (list, tuple))
            or len(box) != 4
            or not all(isinstance(side, (int, float)) and math.isfinite(side) for side in box)
            or min(box[2:]) <= 0
        ):
            raise DataError(f"{place} has the box {box!r}", valid="[x, y, width, height] in pixels")
        area = entry.get("area", 0.0)
        if not isinstance(area, (int, float)) or not math.isfinite(area) or area < 0:
            raise DataError(f"{place} has the area {area!r}", valid="a number of square pixels")
