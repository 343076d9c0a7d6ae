"""The result of an evaluation, with what its uncertainty is computed from."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_perfgate.frozen import Frozen

if TYPE_CHECKING:
    import numpy as np


LARGEST = 256 * 2**20
"""Bytes of an array: some kB of zlib can ask for a thousand times their size. The objects of 20,000
images in 1,200 categories are 96 MB."""


STEP = 2.0**-20
"""Sums of scores over an image are rounded to whole multiples of it: they take a third of the bytes
in a baseline, and a score that is made of them moves by less than 0.000001."""


def in_steps(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`values` as whole multiples of `STEP`."""
    import numpy as np

    rounded: np.ndarray[Any, Any] = np.rint(values / STEP) * STEP
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
    is read, at COCO's 101 recalls or at all (the area under the curve).
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


class Ratio(Frozen):
    """A ratio of sums over images: float64 (images,) each."""

    numerator: Packed
    denominator: Packed


class Doubt(Frozen):
    """Why an accuracy cannot be that of a working model, and what to do about it."""

    problem: str
    next_step: str = ""


class Accuracy(Frozen):
    """The result of one evaluation over all validation images.

    Attributes:
        values: metric name to value.
        per_category: category to average precision (or the task's main score).
        images: validation images evaluated; of sequences or clips their number.
        unit: what `images` counts, in the singular.
        data_digest: of the validation images and annotations.
        predictions_digest: of all predictions; equal digests mean equal predictions.
        matches: what a paired bootstrap needs; None for a task that has none.
        ratios: metric name to what it is made of, for those that are ratios of sums over images.
        notes: what was left out or assumed of the data, one sentence each.
        unmeasured: why the data gives no value for a metric, by the metric's name.
        doubt: of a reference, why the scores cannot be those of a working model; None: they can be.
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

    def with_ratios(
        self, sums: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
    ) -> Accuracy:
        """The same with further scores: numerator and denominator per image (images,) of each; 0
        where nothing is below.
        """
        values, ratios = dict(self.values), dict(self.ratios)
        for name, (numerator, denominator) in sums.items():
            below = float(denominator.sum())
            values[name] = float(numerator.sum()) / below if below else 0.0
            ratios[name] = Ratio(
                numerator=Packed.of(in_steps(numerator)), denominator=Packed.of(denominator)
            )
        unmeasured = {name: why for name, why in self.unmeasured.items() if name not in sums}
        return self.model_copy(
            update={"values": values, "ratios": ratios, "unmeasured": unmeasured}
        )
