"""Classification: labelled images, and the scores that a network gives them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from typing_extensions import override

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_files import Digested, SomeImages


def whole(value: Any) -> int | None:
    """The whole number that a label is; None for a fraction, which is no class, and for anything
    else.
    """
    try:
        return int(value) if float(value) == int(value) else None
    except (TypeError, ValueError, OverflowError):
        return None


class LabelledImages(Digested):
    """Images with labels and the names of classes; or images alone, without either."""

    images: Sequence[Any]
    classes: Sequence[str]

    @property
    def labelled(self) -> bool:
        """Whether the classes of the images are known."""
        return bool(self.classes)


@dataclass(frozen=True)
class ClassificationData(LabelledImages):
    """Images and the class of each; or images alone, without labels and classes.

    Attributes:
        images: uint8 (H, W, 3) RGB each.
        labels: index into `classes` of each image; none, where no image has one.
        classes: their names, in the order of the network's outputs.
        attributes: name to the value of each image, for slices: `{"camera": [7, 7, 9]}`.

    Raises:
        DataError: they do not fit together; names the image.
    """

    images: Sequence[Any]
    labels: Sequence[int]
    classes: Sequence[str]
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.attributes.items():
            if len(values) != len(self.images):
                raise DataError(
                    f"the attribute {name!r} has {len(values)} values for {len(self.images)} images"
                )
        if not self.classes and not len(self.labels):
            return
        if len(self.labels) != len(self.images):
            raise DataError(f"there are {len(self.images)} images and {len(self.labels)} labels")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise DataError(
                f"the classes are {list(self.classes)}", valid="two or more, each with its own name"
            )
        for index, label in enumerate(self.labels):
            if whole(label) not in range(len(self.classes)):
                raise DataError(
                    f"image {index} is of class {label}", valid=f"0 to {len(self.classes) - 1}"
                )

    def part(self, rows: Sequence[int]) -> ClassificationData:
        """The images of `rows` alone, with all classes."""
        labels = [self.labels[row] for row in rows] if self.labelled else ()
        attributes = {
            name: [values[row] for row in rows] for name, values in self.attributes.items()
        }
        images = SomeImages(self.images, rows)
        return replace(self, images=images, labels=labels, attributes=attributes)

    @override
    def image_attributes(self) -> Mapping[str, Sequence[Sequence[Any]]]:
        return {name: [(value,) for value in values] for name, values in self.attributes.items()}

    @cached_property
    def digest(self) -> str:
        """One text for all images and labels, equal only when all of them are."""
        known = json.dumps([[int(label) for label in self.labels], list(self.classes)])
        return hashlib.sha256(("\n".join(self.digests) + known).encode()).hexdigest()


@dataclass(frozen=True)
class Called:
    """What one image was called: scores in [0, 1] of all classes, (C,) float32."""

    scores: Any


def as_called(value: Any) -> Called:
    """What a project's own post-processing returned for one image: scores (C,), or a `Called`.

    Raises:
        DataError: it is something else than finite numbers, one per class.
    """
    import numpy as np

    scores = np.asarray(value.scores if isinstance(value, Called) else value)
    if scores.ndim != 1 or len(scores) < 2 or scores.dtype.kind not in "fiu":
        raise DataError(
            f"the prediction is {scores.dtype.name} {scores.shape}",
            valid="scores (C,), one per class",
        )
    if not np.isfinite(scores).all():
        raise DataError("scores are not finite", valid="scores from 0 to 1")
    return Called(scores.astype(np.float32))
