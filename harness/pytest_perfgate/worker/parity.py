"""The "parity" job: a recipe's outputs beside its reference's, over inputs drawn by hypothesis.

Validation images are alike: a recipe that is right on them may be wrong on a batch of two, on a
white image, or at another resolution. Inputs are drawn from all of these, always the same ones, and
the smallest that breaks the limit is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.launch import Parity
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.stats.detection_sets import set_difference
from pytest_perfgate.steps.output_check import NOTHING_IN_COMMON, difference
from pytest_perfgate.worker.protocol import ParityJob, ParityMeasured, Send

_EXAMPLES = 40
_MOST = 160  # inputs that are tried at all, those that make a broken one smaller included
_GRID = 32  # other resolutions are multiples of this
_KINDS = ("constant", "gradient", "noise", "image")  # the first is the simplest


@dataclass(frozen=True)
class Drawn:
    """One input, told rather than kept: `array` makes it.

    Attributes:
        batch, height, width: of the input.
        kind: "constant" (all `low`), "gradient" (from `low` at the left to `high`), "noise"
            (uniform between them), or "image" (validation images, between their own bounds).
        low, high: bounds of the values.
        seed: of the noise.
    """

    batch: int
    height: int
    width: int
    kind: str
    low: float
    high: float
    seed: int

    def inputs(self, examples: Inputs) -> Inputs:
        """The input, with what `examples` have besides the images; these are the images of the kind
        "image", at the suite's own resolution.
        """
        if self.kind == "image" and (self.height, self.width) == examples.size:
            return examples.repeated(self.batch)
        pixels, dtype = self._pixels(examples), examples.images.dtype
        if dtype.kind != "f":
            pixels = np.rint(pixels)
        if examples.layout == "NHWC":
            pixels = pixels.transpose(0, 2, 3, 1)
        return examples.showing(np.ascontiguousarray(pixels, dtype=dtype))

    def _pixels(self, examples: Inputs) -> Any:
        """Float32 (batch, channels, height, width)."""
        channels = examples.images.shape[examples.channels]
        shape = (self.batch, channels, self.height, self.width)
        if self.kind == "constant":
            return np.full(shape, self.low, dtype=np.float32)
        if self.kind == "gradient":
            ramp = np.linspace(self.low, self.high, self.width, dtype=np.float32)
            return np.broadcast_to(ramp, shape)
        noise = np.random.default_rng(self.seed).random(shape, dtype=np.float32)
        return np.asarray(self.low + (self.high - self.low) * noise, dtype=np.float32)

    def __str__(self) -> str:
        what = {
            "constant": f"all values {self.low:g}",
            "gradient": f"a gradient from {self.low:g} to {self.high:g}",
            "image": "validation images",
        }.get(self.kind, f"noise from {self.low:g} to {self.high:g}, seed {self.seed}")
        return f"batch {self.batch}, {self.height} x {self.width}, {what}"


def parity(job: ParityJob, send: Send) -> None:
    """Compares outputs of a recipe with its reference's; sends one `ParityMeasured`."""
    suite, recipe = job.suite, job.suite.recipes[job.recipe]
    data = SuiteData(suite)
    reference = open_session(suite, suite.recipes[recipe.reference], job.reference)
    ours = open_session(suite, recipe, job.artifact)
    examples = data.example(max(2, suite.batch))
    send(ParityMeasured(search(reference, ours, examples, job.limit)))


def search(
    reference: InferenceSession, recipe: InferenceSession, examples: Inputs, limit: float
) -> Parity:
    """The largest difference over drawn inputs, and the smallest input that breaks `limit`.

    `examples` are the largest batch, and their images have the bounds of the values.
    """
    from hypothesis import Phase, find, settings
    from hypothesis.errors import NoSuchExample

    tried: dict[Drawn, tuple[float, str]] = {}
    usual = _largest(reference, examples)

    def difference_of(drawn: Drawn) -> float:
        if drawn not in tried:
            if len(tried) >= _MOST:
                return 0.0  # the search ends: nothing simpler is looked for any more
            inputs = drawn.inputs(examples)
            tried[drawn] = _beside(reference, recipe, inputs, usual)
        return tried[drawn][0]

    sizes = _sizes(reference, recipe, examples)
    smallest = ""
    try:
        broken = find(
            _inputs(sizes, examples),
            lambda drawn: difference_of(drawn) > limit,
            settings=settings(
                max_examples=_EXAMPLES,
                database=None,
                deadline=None,
                derandomize=True,
                phases=(Phase.generate, Phase.shrink),
            ),
        )
    except NoSuchExample:
        pass
    else:
        distance, problem = tried[broken]
        smallest = f"{broken}: {problem or f'the outputs differ by {distance:.3g}'}"
    return Parity(
        value=max(difference for difference, _ in tried.values()),
        tried=len(tried),
        sizes=sizes,
        smallest=smallest,
    )


def _inputs(sizes: Sequence[tuple[int, int]], examples: Inputs) -> Any:
    """The strategy; what comes first in each choice is what a broken input is reduced to."""
    from hypothesis import strategies as st

    low, high = float(examples.images.min()), float(examples.images.max())
    # Black and white are where things break, and a draw between them seldom comes near.
    ends = st.sampled_from((low, high))
    values = ends | st.floats(low, high, width=32, allow_subnormal=False)

    def drawn(
        batch: int, size: tuple[int, int], kind: str, bounds: tuple[float, float], seed: int
    ) -> Drawn:
        first, last = bounds
        if kind == "constant":
            last = first
        seed = seed if kind == "noise" else 0
        return Drawn(batch, *size, kind, min(first, last), max(first, last), seed)

    return st.builds(
        drawn,
        st.integers(1, len(examples)),
        st.sampled_from(list(sizes)),
        st.sampled_from(_KINDS),
        st.tuples(values, values),
        st.integers(0, 7),
    )


def _sizes(
    reference: InferenceSession, recipe: InferenceSession, examples: Inputs
) -> tuple[tuple[int, int], ...]:
    """Resolutions that both take: the suite's own, and half and one and a half of it where the
    graph leaves them open. The suite's own is first, whether it works or not, and the only one of a
    network with further inputs, which may hold sizes.
    """
    height, width = examples.size
    sizes = [(height, width)]
    if examples.others:
        return tuple(sizes)
    for factor in (0.5, 1.5):
        size = _scaled(height, factor), _scaled(width, factor)
        blank = Drawn(1, *size, "constant", 0.0, 0.0, 0).inputs(examples)
        if size not in sizes and all(_takes(one, blank) for one in (reference, recipe)):
            sizes.append(size)
    return tuple(sizes)


def _scaled(side: int, factor: float) -> int:
    """A side of another resolution."""
    return max(_GRID, round(factor * side / _GRID) * _GRID)


def _takes(session: InferenceSession, inputs: Inputs) -> bool:
    try:
        session.run(inputs)
    except Exception:  # noqa: BLE001 - runtimes refuse in many ways; that they do is all that counts
        return False
    return True


def _copied(inputs: Inputs) -> Inputs:
    """The same in memory of its own: a runtime may write to what it is given."""
    return inputs.map(np.copy)


def _largest(reference: InferenceSession, examples: Inputs) -> list[float]:
    """The largest value of each of the reference's outputs on the suite's own images."""
    largest = []
    for output in reference.run(_copied(examples)):
        values = np.abs(np.asarray(output, dtype=np.float64))
        largest.append(float(np.max(values, initial=0.0, where=np.isfinite(values))))
    return largest


def _beside(
    reference: InferenceSession, recipe: InferenceSession, inputs: Inputs, usual: Sequence[float]
) -> tuple[float, str]:
    """How far the outputs are apart, and what is wrong when it is more than numbers."""
    expected = reference.run(_copied(inputs))
    try:
        outputs = recipe.run(_copied(inputs))
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is the finding
        text = str(error).strip().splitlines()
        said = f"{type(error).__name__}: {text[0][:200] if text else ''}"
        return NOTHING_IN_COMMON, f"the recipe raised {said}"
    if len(outputs) != len(expected):
        problem = f"{len(outputs)} outputs where the reference has {len(expected)}"
        return NOTHING_IN_COMMON, problem
    # What suppresses, or takes the best, may give the same detections in another order.
    as_sets = set_difference(expected, outputs, len(inputs))
    worst = 0.0
    for number, (ours, theirs) in enumerate(zip(outputs, expected, strict=True)):
        if np.shape(ours) != np.shape(theirs):
            if np.isfinite(as_sets):
                return min(as_sets, NOTHING_IN_COMMON), ""
            shapes = f"{np.shape(ours)} where the reference's is {np.shape(theirs)}"
            return NOTHING_IN_COMMON, f"output {number} has the shape {shapes}"
        if np.isfinite(theirs).all() and not np.isfinite(ours).all():
            return NOTHING_IN_COMMON, f"output {number} is not finite"
        worst = max(worst, difference(ours, theirs, usual[number]))
    return min(worst, as_sets), ""
