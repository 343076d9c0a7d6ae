"""Compares the outputs of two inferences of one image: by position, or as sets of detections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.stats.detection_sets import STRAY_ROWS, detection_rows, row_distances

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class KeptOutput:
    """Values of one output for one image.

    Attributes:
        shape: of the whole output.
        at: flat positions of the values, int64 (M,).
        values: float64 (M,).
        scale: what a difference of each value is divided by, float64 (M,): the largest value of
            its channel over all kept images.
    """

    shape: tuple[int, ...]
    at: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    @cached_property
    def index(self) -> tuple[Any, ...]:
        """`at` as an index: it takes from an output that is not contiguous without a copy."""
        import numpy as np

        return np.unravel_index(self.at, self.shape)

    @property
    def whole(self) -> bool:
        """Whether all values are kept."""
        return len(self.at) == math.prod(self.shape)


@dataclass(frozen=True)
class Gap:
    """The largest difference between evaluated and timed outputs of an image.

    Attributes:
        value: relative to the largest value of the channel, as the function says that gives it;
            inf: they cannot be compared.
        output, place: where it is.
        evaluated, timed: what stands there, in words.
    """

    value: float
    output: int = 0
    place: str = ""
    evaluated: str = ""
    timed: str = ""


def described(gap: Gap, by: str = "") -> str:
    """A gap in words: where it is, both values, and how far they are apart `by` a measure."""
    apart = f", apart by {gap.value:.2g} of the largest value{by and ' ' + by}"
    distance = "" if math.isinf(gap.value) else apart
    return (
        f"output {gap.output}{gap.place} was {gap.evaluated} when accuracy was evaluated and "
        f"{gap.timed} when timed{distance}"
    )


def with_tolerance(gap: Gap) -> str:
    """The key of a recipe that allows such a gap; "" where none does."""
    if math.isinf(gap.value):
        return ""
    digits = f"{gap.value * 1.5:.2g}"
    return f"; where the difference is meant: output_tolerance = {digits} in the recipe"


def same_values(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    """Whether two sets of outputs are equal to the last bit."""
    import numpy as np

    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def finished_arrays(outputs: Sequence[Any]) -> list[Any]:
    """The outputs, when each is an array of numbers that are there.

    Raises:
        RuntimeFault: one is something that may compute its values when they are read.
    """
    import numpy as np

    arrays = []
    for number, output in enumerate(outputs):
        kind = type(output)
        if kind is not np.ndarray:
            name = f"a {kind.__module__}.{kind.__qualname__}"
        elif output.dtype.kind in "OSUMm" or output.dtype.names:
            name = f"an array of {output.dtype}"
        else:
            arrays.append(np.atleast_1d(output))
            continue
        raise RuntimeFault(
            f"output {number} is {name}: its values may be computed after the timed call",
            valid="a numpy.ndarray of numbers",
            next_step="return numpy.array(output) in the session's run()",
        )
    return arrays


def compare(
    kept: Sequence[KeptOutput], outputs: Sequence[Any], limit: float = 0.0, *, strays: bool = True
) -> Gap:
    """The gap between an image's evaluated outputs and others of it. Where it is above `limit` and
    the outputs may be detections in any order, it is `limit` if they are the same set within it.
    `outputs` are those that `finished_arrays` gives. With `strays`, some detections may be in one
    set only: those at a threshold, where inferences of one image differ.
    """
    gap, _ = _by_position(kept, outputs)
    if gap.value > limit > 0 and _same_set(kept, outputs, limit, strays=strays):
        return Gap(limit)
    return gap


def compare_varied(kept: Sequence[KeptOutput], outputs: Sequence[Any], limit: float) -> Gap:
    """The gap between an image's evaluated outputs and those of a variation of it: `value` is the
    root mean square, of the output where it is largest.

    Single values say nothing: a lowest bit moves some of a network in 8 bits by half of their
    range, where a threshold is near. Another image moves many.
    """
    gap, size = _by_position(kept, outputs)
    if size > limit > 0 and _same_set(kept, outputs, limit, strays=True):
        return Gap(limit)
    return replace(gap, value=size)


def _by_position(kept: Sequence[KeptOutput], outputs: Sequence[Any]) -> tuple[Gap, float]:
    """The largest gap of a value, and the largest root mean square of an output's."""
    import numpy as np

    if len(kept) != len(outputs):
        counts = f"{len(kept)} outputs", f"{len(outputs)} outputs"
        return Gap(math.inf, 0, "", *counts), math.inf
    worst, size = Gap(0.0), 0.0
    for number, (expected, output) in enumerate(zip(kept, outputs, strict=True)):
        if output.shape != expected.shape:
            shapes = f"the shape {expected.shape}", f"the shape {output.shape}"
            return Gap(math.inf, number, "", *shapes), math.inf
        values = output[expected.index].astype(np.float64)
        if np.array_equal(values, expected.values):
            continue
        finite = np.isfinite(expected.values)
        same = (values == expected.values) | (np.isnan(values) & np.isnan(expected.values))
        with np.errstate(invalid="ignore"):
            distance = np.abs(values - expected.values) / expected.scale
        distance[~np.isfinite(values) | ~finite] = math.inf
        distance[same] = 0.0
        size = max(size, float(np.sqrt(np.mean(distance**2))))
        at = int(np.argmax(distance))
        if distance[at] > worst.value:
            place = ", ".join(str(int(axis[at])) for axis in expected.index)
            pair = f"{expected.values[at]:.6g}", f"{values[at]:.6g}"
            worst = Gap(float(distance[at]), number, f" at ({place})", *pair)
    return worst, size


def _same_set(
    kept: Sequence[KeptOutput], outputs: Sequence[Any], limit: float, *, strays: bool
) -> bool:
    """Whether outputs that are rows, one per detection, are the same rows in another order."""
    import numpy as np

    if len(kept) != len(outputs) or not all(output.whole for output in kept):
        return False
    ours = detection_rows([np.asarray(output, np.float64) for output in outputs])
    theirs = detection_rows([output.values.reshape(output.shape) for output in kept])
    scale = detection_rows([output.scale.reshape(output.shape) for output in kept])
    if ours is None or theirs is None or scale is None or ours.shape[1:] != theirs.shape[1:]:
        return False
    allowed = max(1, len(theirs) // STRAY_ROWS) if strays else 0
    if min(len(ours), len(theirs)) == 0:
        return max(len(ours), len(theirs)) <= allowed
    close = row_distances(ours, theirs, scale.max(axis=0)) <= limit
    stray = max(int((~close.any(axis=1)).sum()), int((~close.any(axis=0)).sum()))
    return stray <= allowed and abs(len(ours) - len(theirs)) <= allowed
