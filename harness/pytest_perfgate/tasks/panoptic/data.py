"""Panoptic segmentation: images with a segment for every pixel, and what is predicted of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.first_read import FirstRead, PartRead, contents
from pytest_perfgate.tasks.image_files import Digested, SomeImages, refuse_other_size

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

VOID = 0
"""The id of pixels that are of no segment."""


@dataclass(frozen=True)
class Segment:
    """One segment of an image.

    Attributes:
        id: its number in the image's map, 1 or more.
        category: index of its class.
        crowd: whether it holds several objects that nobody has to find.
    """

    id: int
    category: int
    crowd: bool = False


@dataclass(frozen=True)
class PanopticData(Digested):
    """Images and the segment of each of their pixels; or images alone.

    Attributes:
        images: uint8 (H, W, 3) RGB each.
        maps: integers (H, W) each, the id of each pixel's segment, 0 for none; none, where the
            segments of no image are known.
        segments: of each image.
        classes: their names.
        things: whether each class is of things, which are counted, not of stuff.

    Raises:
        DataError: they do not fit together; names the image.
    """

    images: Sequence[Any]
    maps: Sequence[Any] = ()
    segments: Sequence[Sequence[Segment]] = ()
    classes: Sequence[str] = ()
    things: Sequence[bool] = ()

    @property
    def labelled(self) -> bool:
        """Whether the segments of the images are known."""
        return bool(len(self.maps))

    def __post_init__(self) -> None:
        if not self.labelled:
            return
        counts = (len(self.images), len(self.maps), len(self.segments))
        if len({*counts}) != 1:
            raise DataError(
                f"there are {counts[0]} images, {counts[1]} maps and segments of {counts[2]}"
            )
        twice = [name for name, count in Counter(self.classes).items() if count > 1]
        if twice or not self.classes or len(self.things) != len(self.classes):
            raise DataError(
                f"the class {twice[0]!r} is named twice"
                if twice
                else f"there are {len(self.classes)} classes, and things says of "
                f"{len(self.things)} what they are",
                valid="each class once, with whether it is of things",
            )
        for image, segments in enumerate(self.segments):
            ids = [segment.id for segment in segments]
            if len({*ids}) != len(ids) or min(ids, default=1) <= VOID:
                raise DataError(
                    f"the segments of image {image} have the ids {sorted(ids)[:6]}",
                    valid="each an id of its own, 1 or more",
                )
            for segment in segments:
                if not 0 <= segment.category < len(self.classes):
                    raise DataError(
                        f"the segment {segment.id} of image {image} has the category "
                        f"{segment.category}",
                        valid=f"0 to {len(self.classes) - 1}, the indices of the classes",
                    )

    def numbers(self, index: int) -> npt.NDArray[np.int64]:
        """The segments of an image's pixels, int64 (H, W): their place in `segments` from 1 on, 0
        for none.

        Raises:
            DataError: the map is no array of integers, has an id of no segment, no pixel of one, or
                is not what it was when it was read first.
        """
        import numpy as np

        given = np.asarray(self.maps[index])
        if given.ndim != 2 or given.dtype.kind not in "iu":
            raise DataError(
                f"map {index} has the shape {given.shape} and the type {given.dtype}",
                valid="integers (H, W)",
            )
        ids = [segment.id for segment in self.segments[index]]
        known = np.array([VOID, *sorted(ids)], dtype=np.int64)
        place = np.array([0, *(1 + np.argsort(ids, kind="stable"))], dtype=np.int64)
        at = np.searchsorted(known, given).clip(max=len(known) - 1)
        wrong = known[at] != given
        where = self.maps.where(index) if isinstance(self.maps, Located) else ""
        if wrong.any():
            raise DataError(
                f"map {index} has the id {given[wrong][0]} in {wrong.sum()} of {wrong.size} "
                "pixels, which is that of no segment",
                where=where,
                valid=f"0 for none, {', '.join(map(str, sorted(ids)[:6]))}"
                f"{', ...' if len(ids) > 6 else ''}",
            )
        numbers: npt.NDArray[np.int64] = place[at]
        pixels = np.bincount(numbers.reshape(-1), minlength=len(ids) + 1)
        if (pixels[1:] == 0).any():
            raise DataError(
                f"map {index} has no pixel of the segment {ids[int(pixels[1:].argmin())]}",
                where=where,
                valid="a pixel or more of each segment",
            )
        self._map_digests.refuse_other(index, contents(numbers), where)
        return numbers

    def part(self, rows: Sequence[int]) -> PanopticData:
        """The images of `rows` alone, with all classes."""
        part = replace(
            self,
            images=SomeImages(self.images, rows),
            maps=SomeImages(self.maps, rows) if self.labelled else (),
            segments=[self.segments[row] for row in rows] if self.labelled else (),
        )
        part.__dict__["_map_digests"] = PartRead(self._map_digests, rows)
        return part

    @override
    def _check(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        if not self.labelled:
            return
        numbers = self.numbers(index)
        where = self.maps.where(index) if isinstance(self.maps, Located) else ""
        refuse_other_size("map", index, numbers.shape, image.shape, where)

    @cached_property
    def _map_digests(self) -> FirstRead:
        """Of every map that was read: with its image for the digest, and for the scores."""
        return FirstRead("map")

    @cached_property
    def digest(self) -> str:
        """One text for all images and segments, equal only when all of them are."""
        images = self.digests
        maps = [self._map_digests[index] for index in range(len(self.maps))]
        segments = [[(one.category, one.crowd) for one in image] for image in self.segments]
        known = json.dumps([maps, segments, list(self.classes), [bool(one) for one in self.things]])
        return hashlib.sha256(("\n".join(images) + known).encode()).hexdigest()


class Located(Sequence[Any]):
    """Maps in files, of which messages name the place."""

    def where(self, index: int) -> str:
        """The file of a map."""
        raise NotImplementedError


@dataclass(frozen=True)
class Panoptic:
    """What was predicted of one image: every pixel is of one segment, or of none.

    Attributes:
        size: height and width of the original image.
        lengths: uint32 (R,), runs of pixels of one segment, in reading order.
        numbers: uint16 (R,), the segment of each run, from 1 on; 0 for none.
        categories: int64 (S,), indices of the segments' classes.
        scores: float32 (S,), from 0 to 1; None: the network gives none.
    """

    size: tuple[int, int]
    lengths: npt.NDArray[np.uint32]
    numbers: npt.NDArray[np.uint16]
    categories: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None

    def map(self) -> npt.NDArray[np.int64]:
        """The segment of each pixel, int64 (H, W), from 1 on; 0 for none."""
        import numpy as np

        return np.repeat(self.numbers.astype(np.int64), self.lengths).reshape(self.size)


def panoptic(ids: Any, categories: Any, scores: Any = None) -> Panoptic:
    """A map (H, W) of whole numbers in which 0 is none and k the segment `categories[k - 1]`, as a
    prediction. Segments without a pixel are left out.

    Raises:
        DataError: the three do not fit together.
    """
    import numpy as np

    ids, categories = np.asarray(ids), np.asarray(categories)
    scores = None if scores is None else np.asarray(scores, dtype=np.float32)
    shapes = {categories.shape} if scores is None else {categories.shape, scores.shape}
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or shapes != {(len(categories),)}:
        raise DataError(f"the map is {ids.dtype.name} {ids.shape}", valid=_VALID)
    if not ids.size or ids.min() < 0 or ids.max() > min(len(categories), _MOST):
        raise DataError(
            f"the map has numbers from {ids.min(initial=0)} to {ids.max(initial=0)}, and there are "
            f"{len(categories)} categories",
            valid=_VALID,
        )
    if len(categories) and (categories.dtype.kind not in "iu" or categories.min() < 0):
        raise DataError(f"categories are {categories.dtype.name}", valid=_VALID)
    present = np.flatnonzero(np.bincount(ids.reshape(-1), minlength=len(categories) + 1)[1:])
    place = np.zeros(len(categories) + 1, dtype=np.uint16)
    place[present + 1] = np.arange(len(present)) + 1
    flat = place[ids].reshape(-1)
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return Panoptic(
        (ids.shape[0], ids.shape[1]),
        np.diff(np.append(begins, len(flat))).astype(np.uint32),
        flat[begins],
        categories[present].astype(np.int64),
        None if scores is None else scores[present],
    )


_MOST = 65_535
_VALID = (
    "whole numbers (H, W), 0 for none and k for the k-th segment, at most 65,535, with a category "
    "for each segment, and a score or none"
)


def as_panoptic(value: Any) -> Panoptic:
    """What a project's own post-processing returned for one image: `Panoptic`, or a tuple of the
    map (H, W), categories (S,) and, if there are some, scores (S,); see `panoptic`.

    Raises:
        DataError: it is neither.
    """
    if isinstance(value, Panoptic):
        return value
    if not isinstance(value, tuple) or len(value) not in {2, 3}:
        raise DataError(f"the prediction is {type(value).__name__}", valid=_VALID)
    return panoptic(*value)
