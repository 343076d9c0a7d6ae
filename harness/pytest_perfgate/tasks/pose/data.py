"""Pose: images with the keypoints of their objects, and what is predicted of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.data import CocoData
from pytest_perfgate.tasks.coco.instances import as_text
from pytest_perfgate.tasks.coco.keypoints import Keypoints, read_keypoints
from pytest_perfgate.tasks.image_files import SomeImages

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class PoseData(CocoData):
    """Images and COCO's instances with keypoints.

    Attributes:
        images: uint8 (H, W, 3) RGB each, in the order of `coco["images"]`.
        coco: instances as COCO writes them: images, annotations with keypoints, categories.
        sigmas: tolerance of each keypoint as a fraction of the square root of the object's area;
            none: those of COCO's person.
        annotated: whether the objects in the images are known; False: nothing is said of them.

    Raises:
        DataError: they do not fit together; names the entry.
    """

    images: Sequence[Any]
    coco: dict[str, Any]
    sigmas: Sequence[float] = ()
    annotated: bool = True

    def __post_init__(self) -> None:
        for index, sigma in enumerate(self.sigmas):
            if isinstance(sigma, bool) or not isinstance(sigma, (int, float)) or not 0 < sigma < 1:
                raise DataError(f"sigmas[{index}] is {sigma!r}", valid="a number from 0 to 1")
        _ = self.keypoints if self.annotated else self.instances  # raises what is wrong with them

    @cached_property
    def keypoints(self) -> Keypoints:
        """The keypoints of the instances, in their order."""
        return read_keypoints(self.coco, self.instances, self.sigmas)

    def part(self, rows: Sequence[int]) -> PoseData:
        """The images of `rows` alone, with all categories and keypoints."""
        coco = self.entries_of(rows)
        if self.annotated:  # names and bones are of the whole: perhaps no object of these has any
            bones = [[one + 1, other + 1] for one, other in self.keypoints.bones]
            declared = {"keypoints": list(self.keypoints.names), "skeleton": bones}
            coco["categories"] = [{**entry, **declared} for entry in coco["categories"]]
        return replace(self, images=SomeImages(self.images, rows), coco=coco)

    @override
    def _check(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        self.instances.compare_size(index, image.shape)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or assumed of images and annotations, one sentence each."""
        images = super().notes
        keypoints = self.keypoints.notes if self.annotated else ()
        return (*self.instances.notes, *keypoints, *images)

    @cached_property
    def digest(self) -> str:
        """One text for all images and annotations, equal only when all of them are."""
        known = as_text(self.coco) + json.dumps([float(sigma) for sigma in self.sigmas])
        return hashlib.sha256(("\n".join(self.digests) + known).encode()).hexdigest()


@dataclass(frozen=True)
class Poses:
    """What was found in one image.

    Attributes:
        points: floats (M, K, 3), x and y in pixels of the image, and the score of each keypoint.
        scores: float32 (M,), best first.
        categories: int64 (M,), indices into the data's categories.
        boxes: floats (M, 4), corners in pixels.
    """

    points: npt.NDArray[Any]
    scores: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]
    boxes: npt.NDArray[Any]


_MARGIN = 0.1  # of the longer side of the keypoints' extent, around it


def around(points: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Boxes (M, 4) around keypoints (M, K, 2 or more), with a tenth of their extent on each side, a
    pixel at least: an object is larger than its keypoints.
    """
    import numpy as np

    if not len(points):
        return np.zeros((0, 4), np.float32)
    low, high = points[..., :2].min(axis=1), points[..., :2].max(axis=1)
    margin = np.maximum(_MARGIN * (high - low).max(axis=1, keepdims=True), 1.0)
    return np.concatenate([low - margin, high + margin], axis=1).astype(np.float32)


def as_poses(value: Any) -> Poses:
    """What a project's own post-processing returned for one image: `Poses`, or a tuple of points
    (M, K, 3), scores (M,) and categories (M,), in any order of scores.

    Raises:
        DataError: it is neither, or holds something else than finite numbers and whole categories.
    """
    import numpy as np

    parts = (value.points, value.scores, value.categories) if isinstance(value, Poses) else value
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise DataError(f"the prediction is {type(value).__name__}", valid=_VALID)
    points, scores, categories = (np.asarray(part) for part in parts)
    count = len(scores) if scores.ndim == 1 else -1
    fits = points.ndim == 3 and points.shape[0] == count and points.shape[2] == 3
    if not fits or categories.shape != scores.shape:
        shapes = (points.shape, scores.shape, categories.shape)
        raise DataError(f"the arrays have shapes {', '.join(map(str, shapes))}", valid=_VALID)
    if not (np.isfinite(points).all() and np.isfinite(scores).all()):
        raise DataError("points or scores are not finite", valid=_VALID)
    if len(categories) and not (categories.dtype.kind in "iu" and categories.min() >= 0):
        raise DataError(f"categories are {categories.dtype.name}", valid=_VALID)
    best = np.argsort(-scores, kind="stable")
    boxes = value.boxes if isinstance(value, Poses) else around(points)
    return Poses(
        points[best].astype(np.float32),
        scores[best].astype(np.float32),
        categories[best].astype(np.int64),
        np.asarray(boxes, np.float32)[best],
    )


_VALID = (
    "points (M, K, 3), x and y in pixels of the image and a score, scores (M,), and categories "
    "(M,), 0 or more"
)
