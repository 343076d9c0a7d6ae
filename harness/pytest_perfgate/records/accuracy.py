"""The result of an evaluation, with what its uncertainty is computed from."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.metric import AT

if TYPE_CHECKING:
    import numpy as np

    from pytest_perfgate.stats.average_precision import Table


LARGEST = 256 * 2**20
"""Bytes of an array: some kB of zlib can ask for a thousand times their size. The objects of 20,000
images in 1,200 categories are 96 MB."""


STEP = 2.0**-20
"""Sums of scores over an image are rounded to whole multiples of it: they take a third of the bytes
in a baseline, and a score that is made of them moves by less than 0.000001."""


def in_steps(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`values` as whole multiples of `STEP`."""
    import numpy as np

    rounded: np.ndarray[Any, Any] = np.rint(values / STEP) * STEP + 0.0  # no zero has a sign
    return rounded


class Packed(Frozen):
    """A numeric array in one line of text: zlib and base64 over little-endian C order."""

    dtype: str
    shape: tuple[int, ...]
    data: str

    @classmethod
    def of(cls, array: np.ndarray[Any, Any], level: int = 9) -> Packed:
        """`array` packed; its dtype must have a fixed size. `level` is zlib's: 1 is fast, for what
        is not stored.
        """
        plain = array.astype(array.dtype.newbyteorder("<"))
        text = base64.b64encode(zlib.compress(plain.tobytes(), level)).decode("ascii")
        return cls(dtype=plain.dtype.str, shape=plain.shape, data=text)

    def array(self) -> np.ndarray[Any, Any]:
        """The array again.

        Raises:
            ValueError: the text is not what `of` writes.
        """
        import numpy as np

        try:
            dtype = np.dtype(self.dtype)
            if dtype.hasobject or min(self.shape, default=0) < 0:
                raise ValueError(f"dtype {self.dtype!r} and shape {self.shape} cannot be packed")
            size = math.prod(self.shape) * dtype.itemsize
            if size > LARGEST:
                raise ValueError(f"{size:,} bytes of shape {self.shape}; valid: up to {LARGEST:,}")
            packed = base64.b64decode(self.data, validate=True)
            # No more is unpacked than the shape asks for, whatever the text holds.
            raw = zlib.decompressobj().decompress(packed, size + 1)
        except (TypeError, zlib.error) as error:
            raise ValueError(f"the array does not unpack: {error}") from error
        return np.frombuffer(raw, dtype=dtype).reshape(self.shape)


class Matches(Frozen):
    """Which detections matched which objects, enough to compute average precision again.

    One row per detection:
    `image` index int32, `category` index int16, `score` float32, and two of uint16 whose bit i is
    about `thresholds[i]`: `hits`, the detection is a true positive; `ignored`, it does not count,
    because it lies on an object that is to be ignored. `truth` int32 (images,
    categories) counts the objects to find. Of classification a row is an image, its category is the
    predicted class, and a hit is a right one; the one threshold is 0.5. `recalls`: where precision
    is read, at COCO's 101 recalls or at all (the area under the curve). `order`
    int32 (images,): the place among the data's images of each image index; None: they are counted
    alike.
    """

    thresholds: tuple[float, ...]
    categories: tuple[str, ...]
    image: Packed
    category: Packed
    score: Packed
    hits: Packed
    ignored: Packed
    truth: Packed
    recalls: Literal["coco", "all"] = "coco"
    order: Packed | None = None

    def check(self) -> None:
        """Unpacks everything, of a file from outside.

        Raises:
            ValueError: an array does not unpack, or rows and columns are not those of the others.
        """
        rows = self.image, self.category, self.score, self.hits, self.ignored
        if len({column.array().shape for column in rows}) > 1 or len(self.image.shape) != 1:
            raise ValueError("the arrays of the detections differ in length")
        if self.truth.array().shape[1:] != (len(self.categories),):
            raise ValueError(f"truth has no column for each of {len(self.categories)} categories")
        if self.order is not None and self.order.array().shape != self.truth.array().shape[:1]:
            raise ValueError("the order is not that of the images of truth")

    def table(self) -> Table:
        """What average precision is computed from."""
        from pytest_perfgate.stats.average_precision import Table

        ignored = self.ignored.array()
        return Table(
            image=self.image.array(),
            category=self.category.array(),
            score=self.score.array(),
            hits=self.hits.array(),
            truth=self.truth.array(),
            thresholds=len(self.thresholds),
            ignored=ignored if ignored.any() else None,
            recalls=self.recalls,
        )


_NONE_REACHES_IT = "no prediction has at least the score of `operating_point`"


class Ratio(Frozen):
    """A ratio of sums over images: float64 (images,) each."""

    numerator: Packed
    denominator: Packed

    def equals(self, other: Ratio) -> bool:
        """Whether all numbers of both are the same, however they are packed."""
        import numpy as np

        pairs = (self.numerator, other.numerator), (self.denominator, other.denominator)
        return all(np.array_equal(one.array(), two.array()) for one, two in pairs)


class Sketch(Frozen):
    """The distribution of one number per image, in a bounded size.

    Attributes:
        count: images that have the number.
        quantiles: float32 (K,), ascending: of up to `Sketch.MOST` images all numbers, of more the
            quantiles in the middle of `Sketch.MOST` equal shares.
    """

    MOST: ClassVar[int] = 128

    count: int = Field(ge=1)
    quantiles: Packed

    @classmethod
    def of(cls, values: np.ndarray[Any, Any]) -> Sketch:
        """Of finite numbers (N,), one or more."""
        import numpy as np

        ordered = np.sort(values.astype(np.float32))
        if len(ordered) > cls.MOST:
            places = (np.arange(cls.MOST) + 0.5) / cls.MOST * len(ordered)
            ordered = ordered[places.astype(np.int64)]
        return cls(count=len(values), quantiles=Packed.of(ordered))

    @property
    def resolution(self) -> float:
        """How far the shares of images up to any number can be from those of all images."""
        return 0.0 if self.count == self.quantiles.shape[0] else 1.0 / self.MOST

    def check(self) -> None:
        """Unpacks the quantiles, of a file from outside.

        Raises:
            ValueError: they do not unpack, or are no quantiles of so many images.
        """
        import numpy as np

        values = self.quantiles.array()
        if values.ndim != 1 or len(values) != min(self.count, self.MOST):
            raise ValueError(f"{values.shape} quantiles of {self.count} images")
        if values.dtype.kind != "f" or not np.isfinite(values).all() or (np.diff(values) < 0).any():
            raise ValueError("quantiles are not finite and ascending")


class Doubt(Frozen):
    """Why an accuracy cannot be that of a working model, and what to do about it."""

    problem: str
    next_step: str = ""


class Slicing(Frozen):
    """The slices of the images of an evaluation by one attribute.

    Attributes:
        by: the attribute.
        names: of the slices: "camera=7".
        members: bool (slices, images), in the order of the data's images; an image may be in
            several slices, or in none.
        least: images below which a slice is not judged.
    """

    by: str
    names: tuple[str, ...]
    members: Packed
    least: int

    def check(self, images: int) -> None:
        """Unpacks the members, of a file from outside.

        Raises:
            ValueError: they do not unpack, or are not of these slices and images.
        """
        if self.members.array().shape != (len(self.names), images):
            raise ValueError(f"members of {len(self.names)} slices are not of {images} images")


class Accuracy(Frozen):
    """The result of one evaluation over all images of a set.

    Attributes:
        values: metric name to value.
        per_category: category to average precision (or the task's main score).
        images: images evaluated; of sequences or clips their number.
        unit: what `images` counts, in the singular.
        data_digest: of the images and annotations.
        predictions_digest: of all predictions; equal digests mean equal predictions.
        matches: what a paired bootstrap needs; None for a task that has none.
        ratios: metric name to what it is made of, for those that are ratios of sums over images.
        notes: what was left out or assumed of the data, one sentence each.
        unmeasured: why the data gives no value for a metric, by the metric's name.
        corrupted_by: of scores on corrupted images the severities, the seed and the images; "" for
            none.
        corrupted_images: how many images were corrupted.
        doubt: of a reference, why the scores cannot be those of a working model; None: they can be.
        sets: of the validation images, the evaluation of each further set by its name.
        slices: the slices of these images, by the name that the suite gives them.
        inputs: name of a statistic of the decoded images to its distribution
            (`pytest_perfgate.stats.image_statistics`): what live inputs are compared with. Of the
            validation images alone.
        points: metric name to the operating point that it was measured at, as text; values of two
            points are not compared. A metric without one is not known to have any.
    """

    values: dict[str, float]
    per_category: dict[str, float] = Field(default_factory=dict)
    images: int
    unit: str = "image"
    data_digest: str
    predictions_digest: str
    matches: Matches | None = None
    ratios: dict[str, Ratio] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    unmeasured: dict[str, str] = Field(default_factory=dict)
    doubt: Doubt | None = None
    corrupted_by: str = ""
    corrupted_images: int = 0
    sets: dict[str, Accuracy] = Field(default_factory=dict)
    slices: dict[str, Slicing] = Field(default_factory=dict)
    inputs: dict[str, Sketch] = Field(default_factory=dict)
    points: dict[str, str] = Field(default_factory=dict)

    def on(self, name: str) -> Accuracy | None:
        """The evaluation of a set, itself for ""; None where there is none."""
        return self.sets.get(name) if name else self

    def with_set(self, name: str, accuracy: Accuracy) -> Accuracy:
        """The same with `accuracy` as the evaluation of a set, or in place of itself for ""; its
        sets stay.
        """
        if not name:
            return accuracy.model_copy(update={"sets": self.sets})
        return self.model_copy(update={"sets": {**self.sets, name: accuracy}})

    def to_keep(self) -> Accuracy:
        """The same without slices and inputs, which follow from the images: what a baseline
        keeps.
        """
        sets = {name: one.to_keep() for name, one in self.sets.items()}
        return self.model_copy(update={"slices": {}, "inputs": {}, "sets": sets})

    def unscored(self) -> dict[str, str]:
        """Why scores of the images and of the sets have no value, by metric."""
        of_sets = {
            f"{metric}{AT}{name}": why
            for name, accuracy in self.sets.items()
            for metric, why in accuracy.unmeasured.items()
        }
        return self.unmeasured | of_sets

    def check(self) -> None:
        """Unpacks matches and slices, of a file from outside.

        Raises:
            ValueError: an array does not unpack, or does not fit the others.
        """
        if self.matches is not None:
            self.matches.check()
        for slicing in self.slices.values():
            slicing.check(self.images)
        for sketch in self.inputs.values():
            sketch.check()
        for accuracy in self.sets.values():
            accuracy.check()

    def with_ratios(
        self,
        sums: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]],
        point: str = "",
    ) -> Accuracy:
        """The same with further scores: numerator and denominator per image (images,) of each; 0
        where nothing is below. Scores that had the same reason to be missing, and still are, have
        no prediction to be taken from. `point` is the operating point of these scores, as text.
        """
        values, ratios = dict(self.values), dict(self.ratios)
        for name, (numerator, denominator) in sums.items():
            below = float(denominator.sum())
            values[name] = float(numerator.sum()) / below if below else 0.0
            ratios[name] = Ratio(
                numerator=Packed.of(in_steps(numerator)), denominator=Packed.of(denominator)
            )
        gone = {self.unmeasured[name] for name in sums if name in self.unmeasured}
        unmeasured = {
            name: _NONE_REACHES_IT if why in gone else why
            for name, why in self.unmeasured.items()
            if name not in sums
        }
        points = self.points | (dict.fromkeys(sums, point) if point else {})
        return self.model_copy(
            update={
                "values": values,
                "ratios": ratios,
                "unmeasured": unmeasured,
                "points": points,
            }
        )
