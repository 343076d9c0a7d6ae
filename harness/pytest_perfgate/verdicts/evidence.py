"""What a verdict may rest on, and what a comparison comes to: frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe_record import RecipeRecord

SIGNS = "signs of launches (e-process)"
TWO_SESSIONS = "Student's t over the launches of two sessions"
BOOTSTRAP = "paired bootstrap over"
BOOTSTRAP_ONE = "bootstrap over"
"""Followed by what is drawn: "images"."""
EXACT = "exact"
ONCE = "observed once"
STRETCHES = "Student's t over stretches of one run"
FOLDS = "Student's t over folds, variance corrected for their overlap (Nadeau and Bengio 2003)"
FAR_ROUNDS = "far rounds of launches (e-process)"


@dataclass(frozen=True)
class Risk:
    """Chances of error per limit: `fail` of a wrong FAIL, `keep` of a wrong PASS when the truth
    lies on the limit; each at all numbers of launches together.
    """

    fail: float
    keep: float = 0.05


@dataclass(frozen=True)
class Base:
    """The same recipe at the version of the code that `--perf-base` names.

    Attributes:
        name: the ref and its commit, for people ("origin/main (1a2b3c4)").
        record: what was measured there, None when the recipe does not exist there.
        problem: why there is nothing to compare with, "" when there is.
    """

    name: str
    record: RecipeRecord | None = None
    problem: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that a verdict on one recipe may rest on.

    Attributes:
        base: with `--perf-base`: what `regression` compares with, in place of the baseline.
        control: the reference and its unchanged copy, measured in the same launches.
        reference_baseline: the stored record of the reference.
        yardstick, device_yardsticks: launches of those of the cores, and of each GPU by its UUID.
        pace: seconds that one more launch takes, None when it is not known.
        elsewhere: what is stored where there is no baseline: another machine's, "" for nothing.
        loud: why times of this session prove nothing worse than stored ones, "" when they may.
    """

    record: RecipeRecord
    reference: RecipeRecord | None = None
    baseline: Baseline | None = None
    base: Base | None = None
    control: tuple[RecipeRecord, RecipeRecord] | None = None
    reference_baseline: Baseline | None = None
    yardstick: tuple[Launch, ...] = ()
    device_yardsticks: Mapping[str, tuple[Launch, ...]] = field(default_factory=dict)
    pace: float | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    loud: str = ""
    elsewhere: str = ""


@dataclass(frozen=True)
class Compared:
    """An estimate with the bounds that decide.

    Bounds at `Risk.fail` are (fail_low, fail_high), those at `Risk.keep` (keep_low, keep_high).

    Attributes:
        scale: "value" (the metric's own unit), "ratio", or "difference".
        sample: how many launches or images it rests on.
        unit: what `sample` counts, in the singular; "": what the metric's rule says.
        spread: standard deviation of one launch's log value (`_spread`), None where launches are
            no sample.
        doubt: a standard deviation on that scale that no number of launches takes away.
        method: by which rule the bounds were made, in words.
        notes: what else was seen, one sentence each, for the evidence.
    """

    estimate: float
    fail_low: float
    fail_high: float
    keep_low: float
    keep_high: float
    sample: int
    scale: str
    against: str = ""
    note: str = ""
    spread: float | None = None
    doubt: float = 0.0
    method: str = EXACT
    notes: tuple[str, ...] = ()
    unit: str = ""
