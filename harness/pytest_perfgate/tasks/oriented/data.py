"""Oriented boxes: images with quadrilaterals around objects, and what is predicted of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_files import Digested, SomeImages

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FOUR = "four corners, x and y in pixels each"


@dataclass(frozen=True)
class OrientedData(Digested):
    """Images and the quadrilaterals around their objects; or images alone, without `classes`.

    Attributes:
        images: uint8 (H, W, 3) RGB each.
        corners: of each image, floats (M, 4, 2): x and y of the corners of each object, in order
            around it.
        categories: of each image, integers (M,), indices into `classes`.
        difficult: of each image, bool (M,): objects that nobody has to find; none: no object is.
        classes: their names, in the order of the network's.

    Raises:
        DataError: they do not fit together; names the image and the object.
    """

    images: Sequence[Any]
    corners: Sequence[Any] = ()
    categories: Sequence[Any] = ()
    difficult: Sequence[Any] = ()
    classes: Sequence[str] = ()

    @property
    def annotated(self) -> bool:
        """Whether the objects in the images are known."""
        return bool(self.classes)

    def __post_init__(self) -> None:
        if not self.annotated:
            return
        names = Counter(self.classes)
        if len(names) != len(self.classes):
            raise DataError(
                f"the class {names.most_common(1)[0][0]!r} is named twice",
                valid="each class with its own name",
            )
        count = len(self.images)
        for word, lists in (
            ("corners", self.corners),
            ("categories", self.categories),
            ("difficult", self.difficult or [()] * count),
        ):
            if len(lists) != count:
                raise DataError(f"there are {count} images, and {word} of {len(lists)}")
        for index in range(count):
            _ = self.objects[index]

    def part(self, rows: Sequence[int]) -> OrientedData:
        """The images of `rows` alone, with all classes."""

        def some(lists: Sequence[Any]) -> Sequence[Any]:
            return [lists[row] for row in rows] if len(lists) else ()

        return replace(
            self,
            images=SomeImages(self.images, rows),
            corners=some(self.corners),
            categories=some(self.categories),
            difficult=some(self.difficult),
        )

    @cached_property
    def objects(self) -> tuple[Oriented, ...]:
        """The objects of every image as predictions of score 1, in their order."""
        return tuple(self._objects(index) for index in range(len(self.images)))

    @cached_property
    def ignored(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """Of every image: whether nobody has to find each object, (M,)."""
        import numpy as np

        if not self.difficult:
            return tuple(np.zeros(len(one.scores), dtype=bool) for one in self.objects)
        return tuple(np.asarray(one, dtype=bool).reshape(-1) for one in self.difficult)

    def _objects(self, index: int) -> Oriented:
        import numpy as np

        given = [np.asarray(corners, dtype=np.float64) for corners in self.corners[index]]
        categories = np.asarray(self.categories[index]).reshape(-1)
        if len(categories) != len(given):
            raise DataError(
                f"image {index} has {len(given)} objects, and categories of {len(categories)}"
            )
        if self.difficult and len(np.asarray(self.difficult[index]).reshape(-1)) != len(given):
            raise DataError(
                f"image {index} has {len(given)} objects, and difficult of "
                f"{len(np.asarray(self.difficult[index]).reshape(-1))}"
            )
        for row, corners in enumerate(given):
            problem = wrong_corners(corners)
            if problem:
                raise DataError(f"object {row} of image {index} {problem}", valid=_FOUR)
            category = categories[row]
            if categories.dtype.kind not in "iu" or not 0 <= category < len(self.classes):
                raise DataError(
                    f"object {row} of image {index} has the category {category}",
                    valid=f"0 to {len(self.classes) - 1}, the indices of the classes",
                )
        return Oriented(
            np.array(given, dtype=np.float64).reshape(-1, 4, 2),
            np.ones(len(given), np.float32),
            categories.astype(np.int64),
        )

    @cached_property
    def digest(self) -> str:
        """One text for all images and objects, equal only when all of them are."""
        known: list[Any] = [list(self.classes)]
        if self.annotated:
            known += [
                [one.corners.tolist(), one.categories.tolist(), ignored.tolist()]
                for one, ignored in zip(self.objects, self.ignored, strict=True)
            ]
        return hashlib.sha256(("\n".join(self.digests) + json.dumps(known)).encode()).hexdigest()


def wrong_corners(corners: npt.NDArray[Any]) -> str:
    """What is wrong with the corners (4, 2) of an object, "" for nothing."""
    import numpy as np

    if corners.shape != (4, 2):
        count = corners.size // 2 if corners.ndim else 0
        return f"has {count} corners (shape {corners.shape})"
    if not np.isfinite(corners).all():
        return f"has the corners {corners.tolist()}"
    from pytest_perfgate.tasks.polygons import areas

    if areas(corners[None])[0] <= 0:
        return f"has no area: {corners.tolist()}"
    if _cross(*corners) or _cross(*np.roll(corners, -1, axis=0)):
        return f"has sides that cross: {corners.tolist()}"
    return ""


def _cross(a: Any, b: Any, c: Any, d: Any) -> bool:
    """Whether the lines from a to b and from c to d cross each other."""

    def side(one: Any, two: Any, point: Any) -> float:
        return float(
            (two[0] - one[0]) * (point[1] - one[1]) - (two[1] - one[1]) * (point[0] - one[0])
        )

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


@dataclass(frozen=True)
class Oriented:
    """What was found in one image.

    Attributes:
        corners: floats (M, 4, 2), x and y in pixels of the image, in order around each box.
        scores: float32 (M,), best first.
        categories: int64 (M,), indices into the data's classes.
    """

    corners: npt.NDArray[Any]
    scores: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]


def as_oriented(value: Any) -> Oriented:
    """What a project's own post-processing returned for one image: `Oriented`, or a tuple of
    corners (M, 4, 2), scores (M,) and categories (M,), in any order of scores.

    Raises:
        DataError: it is neither, or holds something else than finite numbers and whole categories.
    """
    import numpy as np

    parts = value
    if isinstance(value, Oriented):
        parts = (value.corners, value.scores, value.categories)
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise DataError(f"the prediction is {type(value).__name__}", valid=_VALID)
    corners, scores, categories = (np.asarray(part) for part in parts)
    count = len(scores) if scores.ndim == 1 else -1
    if corners.shape != (count, 4, 2) or categories.shape != scores.shape:
        shapes = (corners.shape, scores.shape, categories.shape)
        raise DataError(f"the arrays have shapes {', '.join(map(str, shapes))}", valid=_VALID)
    if not (np.isfinite(corners).all() and np.isfinite(scores).all()):
        raise DataError("corners or scores are not finite", valid=_VALID)
    if count and not (categories.dtype.kind in "iu" and categories.min() >= 0):
        raise DataError(f"categories are {categories.dtype.name}", valid=_VALID)
    best = np.argsort(-scores, kind="stable")
    return Oriented(
        corners[best].astype(np.float32),
        scores[best].astype(np.float32),
        categories[best].astype(np.int64),
    )


_VALID = "corners (M, 4, 2) in pixels of the image, scores (M,), and categories (M,), 0 or more"
