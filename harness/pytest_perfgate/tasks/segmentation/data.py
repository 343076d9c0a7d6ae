"""Segmentation: images with a class for every pixel, and what is predicted of them."""

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
from pytest_perfgate.tasks.segmentation.masks import MaskFiles

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

IGNORE_INDEX = 255
BOUNDARY_TOLERANCE = 0.008
"""Of the diagonal, as in DAVIS (Perazzi et al. 2016)."""

_MOST_TOLERANCE = 0.1


@dataclass(frozen=True)
class SegmentationData(Digested):
    """Images and the class of each of their pixels; or images alone, without masks and classes.

    Attributes:
        images: uint8 (H, W, 3) RGB each.
        masks: integers (H, W) each: an index into `classes`, or `ignore_index`; none, where the
            classes of no image are known.
        classes: their names, in the order of the network's channels.
        ignore_index: the id of pixels that do not count.
        boundary_tolerance: distance at which boundaries match, as a fraction of the diagonal.

    Raises:
        DataError: they do not fit together; names the image.
    """

    images: Sequence[Any]
    masks: Sequence[Any] = ()
    classes: Sequence[str] = ()
    ignore_index: int = IGNORE_INDEX
    boundary_tolerance: float = BOUNDARY_TOLERANCE

    @property
    def labelled(self) -> bool:
        """Whether the classes of the pixels are known."""
        return bool(len(self.masks))

    def __post_init__(self) -> None:
        if not 0 < self.boundary_tolerance <= _MOST_TOLERANCE:
            raise DataError(
                f"boundary_tolerance is {self.boundary_tolerance}",
                valid=f"a fraction of the diagonal, above 0, at most {_MOST_TOLERANCE}",
            )
        if not self.labelled and not self.classes:
            return
        if len(self.masks) != len(self.images):
            raise DataError(f"there are {len(self.images)} images and {len(self.masks)} masks")
        names = Counter(self.classes)
        if len(names) != len(self.classes) or len(names) < 2:
            twice = [name for name, count in names.items() if count > 1]
            raise DataError(
                f"the class {twice[0]!r} is named twice"
                if twice
                else f"the classes are {list(self.classes)}",
                valid="two or more, each with its own name",
            )
        if 0 <= self.ignore_index < len(self.classes):
            raise DataError(
                f"ignore_index is {self.ignore_index}, the index of the class "
                f"{self.classes[self.ignore_index]!r}",
                valid=f"a number that is not among 0 to {len(self.classes) - 1}",
            )

    def mask(self, index: int) -> npt.NDArray[np.int64]:
        """The classes of an image's pixels, int64 (H, W); `len(classes)` where they do not count.

        Raises:
            DataError: the mask is no array of integers, has an id of no class, or is not what it
                was when it was read first.
        """
        import numpy as np

        given = np.asarray(self.masks[index])
        if given.ndim != 2 or given.dtype.kind not in "iu":
            raise DataError(
                f"mask {index} has the shape {given.shape} and the type {given.dtype}",
                valid="integers (H, W)",
            )
        mask = given.astype(np.int64)
        count = len(self.classes)
        ignored = mask == self.ignore_index
        wrong = ~ignored & ((mask < 0) | (mask >= count))
        if wrong.any():
            raise DataError(
                f"mask {index} has the id {mask[wrong][0]} in {wrong.sum()} of {wrong.size} pixels",
                valid=f"0 to {count - 1}, the indices of the classes, and ignore_index = "
                f"{self.ignore_index}",
            )
        mask[ignored] = count
        self._mask_digests.refuse_other(index, contents(mask), self._mask_file(index))
        return mask

    def _mask_file(self, index: int) -> str:
        return str(self.masks.file(index)) if isinstance(self.masks, MaskFiles) else ""

    def part(self, rows: Sequence[int]) -> SegmentationData:
        """The images of `rows` alone, with all classes."""
        masks = SomeImages(self.masks, rows) if self.labelled else ()
        part = replace(self, images=SomeImages(self.images, rows), masks=masks)
        part.__dict__["_mask_digests"] = PartRead(self._mask_digests, rows)
        return part

    @override
    def _check(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        if not self.labelled:
            return
        mask = self.mask(index)
        refuse_other_size("mask", index, mask.shape, image.shape, self._mask_file(index))

    @cached_property
    def _mask_digests(self) -> FirstRead:
        """Of every mask that was read: with its image for the digest, and for the scores."""
        return FirstRead("mask")

    @cached_property
    def digest(self) -> str:
        """One text for all images and masks, equal only when all of them are."""
        images = self.digests
        masks = [self._mask_digests[index] for index in range(len(self.masks))]
        known = json.dumps([masks, list(self.classes), self.boundary_tolerance])
        return hashlib.sha256(("\n".join(images) + known).encode()).hexdigest()


@dataclass(frozen=True)
class Segments:
    """What was predicted of one image.

    Attributes:
        labels: uint8 or uint16 (H, W), the class of each pixel of the original image; the value of
            `channels` for a class that the data has not.
        scores: float32 (P, C), of every class at some points of the image (`sample_points`); None:
            the network gives none.
        channels: classes that can be predicted; None: a map of labels does not say.
    """

    labels: Any
    scores: Any = None
    channels: int | None = None


_POINTS = 12  # along each side


def sample_points(height: int, width: int) -> tuple[Any, Any]:
    """Rows and columns, int64 (P,) each, of the points at which scores are kept: the middles of
    12 x 12 fields of equal size. All scores of 2,000 pictures in 150 classes would be 400 GB.
    """
    import numpy as np

    steps = (np.arange(_POINTS) + 0.5) / _POINTS
    rows, columns = np.meshgrid(
        (steps * height).astype(np.int64), (steps * width).astype(np.int64), indexing="ij"
    )
    return rows.reshape(-1), columns.reshape(-1)


def as_segments(value: Any) -> Segments:
    """What a project's own post-processing returned for one image: the class of each pixel of the
    original image, integers (H, W), or `Segments`.

    Raises:
        DataError: it is something else, or its scores are not those of `sample_points`.
    """
    import numpy as np

    segments = value if isinstance(value, Segments) else Segments(value)
    labels = np.asarray(segments.labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size:
        raise DataError(
            f"the prediction is {labels.dtype.name} {labels.shape}",
            valid="the class of each pixel of the original image, integers (H, W)",
        )
    most = int(np.iinfo(np.uint16).max)
    if labels.min() < 0 or labels.max() > most:
        raise DataError(
            f"the prediction has classes from {labels.min()} to {labels.max()}",
            valid=f"0 to {most}",
        )
    scores = segments.scores
    if scores is not None:
        scores = np.asarray(scores, dtype=np.float32)
        if scores.ndim != 2 or len(scores) != _POINTS**2 or not np.isfinite(scores).all():
            raise DataError(
                f"the scores have the shape {scores.shape}",
                valid=f"finite numbers ({_POINTS**2}, C), at the points of `sample_points`",
            )
    kind = np.uint8 if labels.max() < 256 else np.uint16
    return Segments(labels.astype(kind), scores, segments.channels)
