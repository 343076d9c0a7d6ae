"""What was measured, as frozen, versioned, plain data: the contents of a session's JSON file.

Every time is in seconds, every size in bytes, every score on its own scale. A value that was not
measured is absent or null, never zero.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Collection
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.records.image_losses import Thumbnail, WorseImage
from pytest_perfgate.records.profile import Profile
from pytest_perfgate.records.search import Search

if TYPE_CHECKING:
    import numpy as np

SESSION_VERSION = 2
"""Of a session's file. One more where files of before need more than defaults to be read:
`pytest_perfgate.report.session_migrations` then carries them up."""


class Status(StrEnum):
    """The words of a verdict, worst first."""

    ERROR = "ERROR"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_BASELINE = "NO BASELINE"
    SKIPPED = "SKIPPED"  # does not apply on this machine, or a package is missing
    PASS = "PASS"  # noqa: S105 - a verdict, not a password

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Status).index(self)


class Packed(Frozen):
    """A numeric array in one line of text: zlib and base64 over little-endian C order."""

    dtype: str
    shape: tuple[int, ...]
    data: str

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> Packed:
        """`array` packed; its dtype must have a fixed size."""
        plain = array.astype(array.dtype.newbyteorder("<"))
        text = base64.b64encode(zlib.compress(plain.tobytes(), 9)).decode("ascii")
        return cls(dtype=plain.dtype.str, shape=plain.shape, data=text)

    def array(self) -> np.ndarray[Any, Any]:
        """The array again.

        Raises:
            ValueError: the text is not what `of` writes.
        """
        import numpy as np

        try:
            dtype = np.dtype(self.dtype)
            packed = base64.b64decode(self.data, validate=True)
            count = math.prod(self.shape)
            # No more is unpacked than the shape asks for, whatever the text holds.
            raw = zlib.decompressobj().decompress(packed, count * dtype.itemsize + 1)
        except (TypeError, zlib.error) as error:
            raise ValueError(f"the array does not unpack: {error}") from error
        if dtype.hasobject or min(self.shape, default=0) < 0:
            raise ValueError(f"dtype {self.dtype!r} and shape {self.shape} cannot be packed")
        return np.frombuffer(raw, dtype=dtype).reshape(self.shape)


class Matches(Frozen):
    """Which detections matched which objects, enough to compute average precision again.

    One row per detection:
    `image` index int32, `category` index int16, `score` float32, and two of uint16 whose bit i is
    about `thresholds[i]`: `hits`, the detection is a true positive; `ignored`, it does not count,
    because it lies on an object that is to be ignored. `truth` int32 (images,
    categories) counts the objects to find.
    """

    thresholds: tuple[float, ...]
    categories: tuple[str, ...]
    image: Packed
    category: Packed
    score: Packed
    hits: Packed
    ignored: Packed
    truth: Packed


class Ratio(Frozen):
    """A ratio of sums over images: float64 (images,) each."""

    numerator: Packed
    denominator: Packed


class Accuracy(Frozen):
    """The result of one evaluation over all validation images.

    Attributes:
        values: metric name to value.
        per_category: category to average precision (or the task's main score).
        images: validation images evaluated.
        data_digest: of the validation images and annotations.
        predictions_digest: of all predictions; equal digests mean equal predictions.
        matches: what a paired bootstrap needs; None for a task that has none.
        ratios: metric name to what it is made of, for those that are ratios of sums over images.
    """

    values: dict[str, float]
    per_category: dict[str, float] = Field(default_factory=dict)
    images: int
    data_digest: str
    predictions_digest: str
    matches: Matches | None = None
    ratios: dict[str, Ratio] = Field(default_factory=dict)
    seconds: float = 0.0


class Link(Frozen):
    """One step of a chain, applied: what it was asked, what it changed, and what that took."""

    step: str
    options: dict[str, Any]
    effect: dict[str, Any]
    seconds: float
    cached: bool
    key: str


class ArtifactInfo(Frozen):
    """The artifact that is measured. `digest` is over the bytes of its files."""

    kind: str
    digest: str
    size: int
    files: dict[str, int]


class Launch(Frozen):
    """What one launch measured of one arm.

    Attributes:
        index: number of the launch in its suite, from 0.
        rounds: the round of each sample, ascending. Samples of two arms with the same number are
            of the same image and were taken next to each other. Empty: sample k is of round k.
        core: the core that the launch was pinned to, -1 where pinning is not possible.
        load_time, preprocess, inference, postprocess: seconds; one entry per timed inference.
        batches: seconds per timed batch of `batch_size` images, all stages.
        peak_memory: bytes, see the metric of that name.
        device: seconds on the device, one entry per timed inference; empty: not measured.
        device_memory_allocator: the most that the runtime's allocator held on the device, in bytes.
        device_memory_process: the most that the process had on the device, in bytes.
        energies: joules per inference, one entry for each time that they were counted.
        sm_clock: of its device, Hz, mean over the rounds.
        values: columns of a workload that is not images one at a time, by name; for each round
            one entry, or equally many.
        started: seconds since the suite's first launch.
    """

    index: int
    core: int
    started: float
    load_time: float
    preprocess: tuple[float, ...]
    inference: tuple[float, ...]
    postprocess: tuple[float, ...]
    rounds: tuple[int, ...] = ()
    batches: tuple[float, ...] = ()
    batch_size: int = 0
    peak_memory: int | None = None
    device: tuple[float, ...] = ()
    device_memory_allocator: int | None = None
    device_memory_process: int | None = None
    energies: tuple[float, ...] = ()
    sm_clock: float | None = None
    values: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    @property
    def latency(self) -> tuple[float, ...]:
        """Seconds per image, all three stages."""
        return tuple(
            a + b + c
            for a, b, c in zip(self.preprocess, self.inference, self.postprocess, strict=True)
        )


class Failure(Frozen):
    """Why a recipe has no measurement.

    Attributes:
        stage: "recipe", "search", "build", "evaluate" or "measure".
        problem: one or a few sentences.
        last_words: the end of what the worker wrote before it ended, "" when it said nothing.
        next_step: what to do.
        missing_package: True when installing something is all that is asked.
    """

    stage: str
    problem: str
    last_words: str = ""
    next_step: str = ""
    missing_package: bool = False


class Parity(Frozen):
    """A recipe's outputs beside its reference's, over drawn inputs.

    Attributes:
        value: the largest difference, relative to the largest value of either.
        tried: how many inputs.
        sizes: height and width of those.
        smallest: the smallest input that breaks the budget, in words; "" when none does.
    """

    value: float
    tried: int
    sizes: tuple[tuple[int, int], ...]
    smallest: str = ""


class Growth(Frozen):
    """How a recipe's memory grew in one long run.

    Attributes:
        stretches: bytes gained per 1,000 images, stretch by stretch.
        images: of all stretches together.
        warm_up: images before them.
    """

    stretches: tuple[float, ...]
    images: int
    warm_up: int


class RecipeRecord(Frozen):
    """All that one session measured of one arm.

    `spec` is the recipe as it was asked for: parent, chain, runtime, budgets in the user's words.
    `runtime_facts` are what the runtime says of itself: provider, precision, threads, version.
    `load_time_cold` is in seconds, see the metric of that name; None: not measured.
    `worse` are the images that the recipe does worse than its reference, the worst first; None:
    not looked at. `profile` is where the time of an inference goes; None: not taken.
    `unmeasured` says of metrics why they have no value. `search` is how values of its chain were
    found; None: they stand in the suite file.
    """

    name: str
    reference: str
    parent: str = ""
    spec: dict[str, Any] = Field(default_factory=dict)
    lineage: tuple[Link, ...] = ()
    artifact: ArtifactInfo | None = None
    runtime_facts: dict[str, Any] = Field(default_factory=dict)
    accuracy: Accuracy | None = None
    parity: Parity | None = None
    growth: Growth | None = None
    load_time_cold: float | None = None
    launches: tuple[Launch, ...] = ()
    unmeasured: dict[str, str] = Field(default_factory=dict)
    failure: Failure | None = None
    worse: tuple[WorseImage, ...] | None = None
    profile: Profile | None = None
    search: Search | None = None

    def without(self, launches: Collection[int]) -> RecipeRecord:
        """The same record less some launches, by their index."""
        if not launches:
            return self
        kept = tuple(each for each in self.launches if each.index not in launches)
        return self.model_copy(update={"launches": kept})


class LimitResult(Frozen):
    """One limit, compared.

    Attributes:
        kind, text: of the limit as written.
        limit: the value that must not be crossed, on the scale of `estimate`.
        estimate, low, high: what was compared and its confidence interval; null when nothing was.
        scale: "value" (the metric's own unit), "ratio", or "difference".
        against: what it was compared with, in words ("reference fp32", "baseline of 2026-11-20").
        reason: one sentence.
        sample: how many launches or images it rests on.
        method: the rule that the interval comes from, in words.
        spread: standard deviation of one launch's log value.
        smallest: when nothing was decided, the smallest change that could have been proven: a
            difference for scores, else relative; null: none, however large.
        needed: when nothing was decided, about how many launches would do; null: no number, or
            launches are not the sample.
        possible: the same, were the truth as far from the limit as these launches allow.
        kept: the bound up to which the limit could have been moved to be called kept.
        notes: what else was compared, for people.
    """

    kind: str
    text: str
    status: Status
    limit: float
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    scale: str = "value"
    against: str = ""
    reason: str
    sample: int = 0
    method: str = ""
    spread: float | None = None
    smallest: float | None = None
    needed: int | None = None
    possible: int | None = None
    kept: float | None = None
    notes: tuple[str, ...] = ()


class Verdict(Frozen):
    """The answer to one budget, with the evidence that led to it.

    `value`, `low`, `high` are of the metric itself, in its base unit; `baseline` is the stored
    value and `baseline_age` its age in days. `next_step` says what to do. `slower` says, for a
    broken budget on time, where the time went: the stages first, then the operators.
    """

    recipe: str
    metric: str
    status: Status
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    baseline_age: float | None = None
    limits: tuple[LimitResult, ...] = ()
    reason: str
    next_step: str = ""
    slower: tuple[str, ...] = ()


class MetricSummary(Frozen):
    """One metric of one recipe for tables: value, interval, and the values it is compared with."""

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    reference: float | None = None  # the reference's value
    baseline: float | None = None  # the stored value
    base: float | None = None  # the value at the version that --perf-base names


class Change(Frozen):
    """A proposed edit of the stored baselines; `kind` is create, tighten, loosen or prune."""

    kind: str
    recipe: str
    metric: str
    unit: str
    before: float | None
    after: float | None
    reason: str = ""
    written: bool = False


class Spread(Frozen):
    """Where the variance of a recipe's latency was, as standard deviations of its logarithm.

    Attributes:
        within: between samples of one launch.
        between: what launches add to it.
        launch: of one launch's mean: what the verdicts have to live with.
        samples, launches: how many there were (samples: of one launch).
    """

    within: float
    between: float
    launch: float
    samples: float
    launches: int


class BaseRecord(Frozen):
    """The recipes at the version of the code that `--perf-base` names.

    Attributes:
        ref, commit: of that version.
        python: its interpreter, "" for the session's own: then arms are forked from one parent,
            else every arm is a program of its own.
        problems: recipe name to the reason why it cannot be compared.
    """

    ref: str
    commit: str
    python: str = ""
    recipes: tuple[RecipeRecord, ...] = ()
    problems: dict[str, str] = Field(default_factory=dict)


class SuiteRecord(Frozen):
    """All of one suite in one session.

    Attributes:
        folder: relative to the project's root, with forward slashes.
        yardstick: launches of the fixed workload that every launch measures beside the recipes.
        conditions: what the machine did during each launch.
        summaries: recipe name to its metrics.
        suspects: differences to the baselines' toolchain or environment, in words.
        notes: what people should know of how it was measured.
        phases: seconds per phase: "build", "measure", "judge".
        plan: what was expected before the first launch, in words.
        base: the recipes at another version of the code, with `--perf-base`.
        controls: unchanged copies of the references, measured beside them.
        spreads: recipe name to its variance within and between launches.
        thumbnails: index to the validation images that recipes do worse.
        policy: what lay between samples, and how arms took turns.
    """

    name: str
    folder: str
    task: str
    model: str
    data: dict[str, Any] = Field(default_factory=dict)
    batch: int = 1
    recipes: tuple[RecipeRecord, ...] = ()
    yardstick: tuple[Launch, ...] = ()
    conditions: tuple[Conditions, ...] = ()
    summaries: dict[str, tuple[MetricSummary, ...]] = Field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    changes: tuple[Change, ...] = ()
    suspects: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    phases: dict[str, float] = Field(default_factory=dict)
    plan: str = ""
    base: BaseRecord | None = None
    controls: tuple[RecipeRecord, ...] = ()
    spreads: dict[str, Spread] = Field(default_factory=dict)
    thumbnails: dict[int, Thumbnail] = Field(default_factory=dict)
    policy: dict[str, str] = Field(default_factory=dict)

    @property
    def discarded(self) -> frozenset[int]:
        """Launches that do not count, because the machine was unsteady."""
        return frozenset(each.index for each in self.conditions if each.discarded)


class SessionRecord(Frozen):
    """One run of `pytest --perf`: the contents of the session's JSON file."""

    version: int = SESSION_VERSION
    id: str
    started: str  # ISO 8601, UTC
    seconds: float
    command: str
    commit: str = ""
    dirty: bool = False
    machine: Machine
    environment: Environment
    settings: dict[str, Any] = Field(default_factory=dict)
    complete: bool = True
    suites: tuple[SuiteRecord, ...] = ()
