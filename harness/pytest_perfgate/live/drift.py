"""Whether live requests are still like the images that the gate scored: drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import LogError, PerfgateError
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.live.gate_record import LEAST_SCORE, GateRecord
from pytest_perfgate.live.logs import Logs
from pytest_perfgate.live.open_metrics import OTHER
from pytest_perfgate.stats.two_samples import LOOKS, compare_numbers, compare_shares

VERSION = 1
"""Of the JSON: one more where a field changes its meaning."""
EXAMPLES = 5
"""Rows that are named of each comparison that moved."""

_FEW = 0.01
"""Share of the rows that may be left out: they move a distribution by no more."""

Kind = Literal["input", "share", "score"]


class Example(Frozen):
    """A row that shows what moved: its time, the image's name ("" for none), and its value."""

    time: str
    image: str
    value: float


class Moved(Frozen):
    """One comparison of live requests with what the gate measured.

    Attributes:
        kind: "input", of a statistic of the images; "share", of the images that have a class;
            "score", of the scores of a class in images that have it.
        name: of the statistic or the class.
        moved: whether a difference is proven.
        before, now: the median, or the share; None: there is no value.
        distance: largest distance between the two distributions, 0 to 1, or the difference of the
            shares.
        p: p-value that is valid at any time, before it is shared over all comparisons.
        rows: live values at the last look; 0: too few for the first.
        since: time of the row with which the difference was proven; "" for none.
        examples: rows that are most unlike the record.
    """

    kind: Kind
    name: str
    moved: bool
    before: float | None
    now: float | None
    distance: float
    p: float
    rows: int
    since: str = ""
    examples: tuple[Example, ...] = ()


class Drift(Frozen):
    """The result of `pytest-perfgate drift`.

    Attributes:
        images: validation images of the record.
        alpha: chance that any comparison of unchanged requests is ever called moved.
        rows: sampled requests.
        first, last: times of the first and the last of them.
        comparisons: those that moved first.
        missing: why something was not compared, one sentence each.
        notes: what else to know.
    """

    version: int = VERSION
    suite: str
    recipe: str
    images: int
    alpha: float
    rows: int
    first: str
    last: str
    comparisons: tuple[Moved, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def moved(self) -> tuple[Moved, ...]:
        """The comparisons with a proven difference."""
        return tuple(one for one in self.comparisons if one.moved)


def compare(record: GateRecord, logs: Logs, alpha: float, least: float = LEAST_SCORE) -> Drift:
    """Compares live requests with a record. `alpha` is shared over all comparisons alike; an image
    has a class from a score of `least` on.

    Raises:
        LogError: the logs are of another recipe, or nothing can be compared.
        PerfgateError: alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise PerfgateError(f"alpha is {alpha!r}", valid="above 0 and below 1")
    if logs.name != record.name:
        raise LogError(
            f"the log is of {logs.name}, and the record of {record.name}",
            where=logs.where,
            next_step=f"name the session that measured {logs.name}, or the log of {record.name}",
        )
    tests = len(record.inputs) + 2 * (len(record.classes) + 1 if record.classes else 0)
    if not tests:
        raise LogError(
            "the record has neither statistics of the images nor scores of classes",
            where=record.file or record.name,
            next_step="run pytest --perf again, and take the new session",
        )
    comparing = _Comparing(record, logs, alpha / tests, least)
    comparisons = [*comparing.inputs(), *comparing.classes()]
    notes: tuple[str, ...] = ()
    if record.artifact and set(logs.artifacts) - {record.artifact}:
        notes = ("the artifact that answered is not the one that the gate measured",)
    return Drift(
        suite=record.suite,
        recipe=record.recipe.name,
        images=record.recipe.accuracy.images if record.recipe.accuracy else 0,
        alpha=alpha,
        rows=logs.rows,
        first=logs.when(0),
        last=logs.when(-1),
        comparisons=tuple(sorted(comparisons, key=lambda one: (not one.moved, one.p))),
        missing=tuple(comparing.missing),
        notes=notes,
    )


@dataclass
class _Comparing:
    record: GateRecord
    logs: Logs
    alpha: float  # of one comparison
    least: float
    missing: list[str] = field(default_factory=list)

    def inputs(self) -> Iterator[Moved]:
        """A comparison for each statistic of the images."""
        if not self.record.inputs:
            self.missing.append("the record has no statistics of its images")
        for name, sketch in self.record.inputs.items():
            live = self.logs.inputs[name] if name in self.logs.inputs else np.zeros(0)
            places = np.flatnonzero(np.isfinite(live))
            stored = sketch.quantiles.array().astype(np.float64)
            yield self._numbers(
                "input", name, stored, sketch.count, sketch.resolution, places, live[places]
            )
        if self.record.inputs:
            known = np.isfinite(self.logs.inputs["brightness"])
            self._too_few(int(known.sum()), "statistics")
            sampled = np.isfinite(self.logs.latency)
            self._left_out(int((sampled & ~known).sum()), int(sampled.sum()), "statistics")

    def classes(self) -> Iterator[Moved]:
        """Two comparisons for each class, and for all that the record does not know."""
        if not self.record.classes:
            self.missing.append("the record has no scores of classes")
            return
        stored = self.record.scores(self.least)
        rows, names, scores = self.logs.classes
        names = np.where(np.isin(names, self.record.classes), names, OTHER)
        scored = np.flatnonzero(self.logs.scored)
        self._too_few(len(scored), "scores")
        self._left_out(self.logs.unread, int(self.logs.answered.sum()), "scores")
        for name in (*self.record.classes, OTHER):
            chosen = (names == name) & (scores >= self.least)
            places, best = _best(rows[chosen], scores[chosen])
            before = np.sort(stored.get(name, np.zeros(0, np.float32))).astype(np.float64)
            yield self._share(name, len(before), scored, places, best)
            if len(before):
                yield self._numbers("score", name, before, len(before), 0.0, places, best)

    def _too_few(self, rows: int, what: str) -> None:
        if rows < LOOKS.first:
            self.missing.append(
                f"{rows} rows have {what}, and a comparison takes {LOOKS.first} or more"
            )

    def _left_out(self, lacking: int, rows: int, what: str) -> None:
        """Rows without something may be those that are unlike the others."""
        if lacking > _FEW * rows:
            self.missing.append(
                f"{lacking:,} of {rows:,} rows have no {what}, which were not compared: look at "
                "perfgate_live_monitor_errors"
            )

    def _numbers(
        self,
        kind: Kind,
        name: str,
        stored: npt.NDArray[np.float64],
        count: int,
        resolution: float,
        places: npt.NDArray[np.int64],
        live: npt.NDArray[np.float64],
    ) -> Moved:
        result = compare_numbers(stored, count, resolution, live, self.alpha)
        moved = result.proven is not None
        before = float(np.median(stored))
        now = float(np.median(live[: result.values])) if result.values else None
        examples: tuple[Example, ...] = ()
        if moved:
            # Where the live values went: farthest on that side, the latest of equals.
            sign = 1.0 if _went_up(stored, live[: result.values]) else -1.0
            order = np.lexsort((-places, -sign * live))[:EXAMPLES]
            examples = tuple(self._example(places[row], live[row]) for row in order)
        return Moved(
            kind=kind,
            name=name,
            moved=moved,
            before=before,
            now=now,
            distance=result.distance,
            p=result.p,
            rows=result.values,
            since=self.logs.when(places[result.proven - 1]) if result.proven else "",
            examples=examples,
        )

    def _share(
        self,
        name: str,
        having: int,
        scored: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64],
        best: npt.NDArray[np.float64],
    ) -> Moved:
        live = np.isin(scored, places)
        result = compare_shares(having, self.record.images, live, self.alpha)
        before = having / self.record.images
        examples: tuple[Example, ...] = ()
        if result.proven and result.distance > 0:
            examples = tuple(
                self._example(row, score)
                for row, score in zip(places[-EXAMPLES:], best[-EXAMPLES:], strict=True)
            )
        return Moved(
            kind="share",
            name=name,
            moved=result.proven is not None,
            before=before,
            now=before + result.distance if result.values else None,
            distance=result.distance,
            p=result.p,
            rows=result.values,
            since=self.logs.when(scored[result.proven - 1]) if result.proven else "",
            examples=examples,
        )

    def _example(self, row: Any, value: Any) -> Example:
        return Example(
            time=self.logs.when(int(row)), image=str(self.logs.image[int(row)]), value=float(value)
        )


def _best(
    rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Rows in their order, each once, with the highest of its scores."""
    places, inverse = np.unique(rows, return_inverse=True)
    best = np.full(len(places), -np.inf)
    np.maximum.at(best, inverse, scores)
    return places, best


def _went_up(stored: npt.NDArray[np.float64], live: npt.NDArray[np.float64]) -> bool:
    """Whether more than half of the live values' ranks among the stored ones are above the
    middle.
    """
    low = np.searchsorted(stored, live, side="left")
    high = np.searchsorted(stored, live, side="right")
    return bool(((low + high) / 2).mean() >= len(stored) / 2)
