"""Detection: annotated images, and what is predicted of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.data import CocoData
from pytest_perfgate.tasks.coco.instances import as_text
from pytest_perfgate.tasks.image_files import SomeImages

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class DetectionData(CocoData):
    """Images and their COCO annotations.

    Attributes:
        images: uint8 (H, W, 3) RGB each, in the order of `coco["images"]`.
        coco: instances as COCO writes them: images, annotations, categories.
        annotated: whether the objects in the images are known; False: nothing is said of them.

    Raises:
        DataError: the two do not fit together; names the entry.
    """

    images: Sequence[Any]
    coco: dict[str, Any]
    annotated: bool = True

    def __post_init__(self) -> None:
        _ = self.instances  # raises what is wrong with them

    def part(self, rows: Sequence[int]) -> Self:
        """The images of `rows` alone, with all categories."""
        images = SomeImages(self.images, rows)
        return replace(self, images=images, coco=self.entries_of(rows))

    def overlaps(
        self,
        prediction: Prediction,
        rows: npt.NDArray[np.int64],
        objects: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Intersection over union of some detections of an image with some of its objects, (D, O),
        by their rows in the prediction and in `instances`; over the detection's own area for a
        crowd.
        """
        from pytest_perfgate.tasks.boxes import crowd_overlap

        instances = self.instances
        corners = instances.boxes[objects]
        corners[:, 2:] += corners[:, :2]
        return crowd_overlap(
            prediction.boxes[rows].astype("float64"), corners, instances.crowd[objects]
        )

    @override
    def _check(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        self.instances.compare_size(index, image.shape)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or assumed of images and annotations, one sentence each."""
        return (*self.instances.notes, *super().notes)

    @cached_property
    def digest(self) -> str:
        """One text for all images and annotations, equal only when all of them are."""
        text = "\n".join(self.digests) + as_text(self.coco)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Prediction:
    """What was found in one image: `boxes` float32 (M, 4) corners in its pixels, `scores` float32
    (M,) best first, `categories` int64 (M,), indices into the data's categories.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]

    def areas(self) -> npt.NDArray[Any]:
        """Square pixels of each detection, (M,)."""
        from pytest_perfgate.tasks.boxes import areas

        return areas(self.boxes.astype("float64"))

    def content(self) -> bytes:
        """All of it as bytes, equal only for equal predictions."""
        count = len(self.scores).to_bytes(4, "little")
        arrays = (self.boxes, self.scores, self.categories)
        return b"".join((count, *(array.tobytes() for array in arrays)))


def as_prediction(value: Any) -> Prediction:
    """What a project's own post-processing returned for one image: a `Prediction`, or a tuple of
    boxes (M, 4), scores (M,) and categories (M,), in any order of scores.

    Raises:
        DataError: it is neither, or holds something else than finite numbers and whole categories.
    """
    import numpy as np

    parts = value
    if isinstance(value, Prediction):
        parts = (value.boxes, value.scores, value.categories)
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise DataError(f"the prediction is {type(value).__name__}", valid=_VALID)
    boxes, scores, categories = (np.asarray(part) for part in parts)
    shapes = (boxes.shape, scores.shape, categories.shape)
    if shapes != ((len(scores), 4), (len(scores),), (len(scores),)):
        raise DataError(f"the arrays have shapes {', '.join(map(str, shapes))}", valid=_VALID)
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise DataError("boxes or scores are not finite", valid=_VALID)
    if len(categories) and not (categories.dtype.kind in "iu" and categories.min() >= 0):
        raise DataError(f"categories are {categories.dtype.name}", valid=_VALID)
    best = np.argsort(-scores, kind="stable")
    return Prediction(
        boxes[best].astype(np.float32),
        scores[best].astype(np.float32),
        categories[best].astype(np.int64),
    )


_VALID = "boxes (M, 4) in pixels of the image, scores (M,), and categories (M,), 0 or more"
