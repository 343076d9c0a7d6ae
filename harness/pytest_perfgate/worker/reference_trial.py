"""Tries other options of a reference's input and output on some validation images.

Most mistakes in a suite file give no error, only a lower score: colours in another order, sizes
with height and width exchanged, padding where the network was trained without. Each alternative is
scored on the same images as what is declared. The one that gains most on half of the images is
confirmed on the other half, which had no part in the choice, by the paired bootstrap over images.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.metric import Better
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe import VALIDATION
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.units import count_of
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference

IMAGES = 64
"""Images of a trial: one half to choose by, the other to confirm."""

_FEWEST = 16  # images that are halved
_FIRST = 8  # of those to choose by; what gains nothing there is not tried on the others
_KEPT = 4  # alternatives that are tried on all of these
_LEAST_GAIN = 0.1  # of the main score
_FURTHER_GAIN = 0.02  # of one more option beside an alternative that holds
_TIE = 0.02  # alternatives that score alike are all named
_NAMED = 3
_ROUNDS = 3  # options that are changed together
_ALPHA = 0.01  # the chance that an alternative that is no better is called so
_MOST_KEPT = 512 * 2**20  # bytes of outputs
_SECONDS = 60.0  # after which no further alternative is begun


@dataclass(frozen=True)
class Finding:
    """An alternative that scores better than what is declared.

    Attributes:
        lines: of the suite file that ask for it; of several that score alike one each.
        metric: the score.
        declared, reached: the score as declared, and with the alternative, on the images that had
            no part in the choice.
        images: how many these are.
        of: images that the scores are of: as many, or all of the split, where the task scores no
            part of it.
        certain: whether the gain is large, and more than noise by the paired bound.
    """

    lines: tuple[str, ...]
    metric: str
    declared: float
    reached: float
    images: int
    of: int
    certain: bool

    @property
    def is_large(self) -> bool:
        """Whether the gain is worth a word, where the score is in doubt anyway."""
        return abs(self.reached - self.declared) >= _LEAST_GAIN * self.images / self.of

    def __str__(self) -> str:
        text = (
            f"{' or '.join(self.lines)}: {self.metric} is {self.reached:.4f} in place of "
            f"{self.declared:.4f} on {count_of(self.of, 'image')}"
        )
        return text if self.of == self.images else f"{text}, {self.images} of them predicted so"


@dataclass(frozen=True)
class _Option:
    """Options of input and output, and the lines that ask for them."""

    line: str
    pixels: Any
    output: Any


@dataclass(frozen=True)
class _Scored:
    """An option with its scores on images."""

    option: _Option
    accuracy: Accuracy
    gain: float


class Trial:
    """Alternatives of one reference; `session` runs it, `tell` hears of every inference: a worker
    may not be silent for long. `predictions` are those of all images as declared; a task that
    scores no part of its data is tried with them alone.
    """

    def __init__(
        self,
        data: SuiteData,
        session: InferenceSession,
        count: int,
        tell: Callable[[], None] = lambda: None,
        predictions: Sequence[Any] = (),
    ) -> None:
        self._tell = tell
        self._predictions = predictions
        self._data = data
        self._session = session
        self._metric, metric = next(iter(data.task.metrics.items()))
        self._sign = 1.0 if metric.better is Better.HIGHER else -1.0
        rows = spread(count, IMAGES)
        random.Random(0).shuffle(rows)  # noqa: S311 - no secret; data sets repeat by some period
        half = len(rows) // 2
        self._halved = len(rows) >= _FEWEST
        self._rows, self._fresh = (rows[:half], rows[half:]) if self._halved else (rows, rows)
        self._first = self._rows[:_FIRST]
        self._outputs: dict[tuple[str, int], tuple[tuple[Any, ...], Any]] = {}
        self._bytes = 0
        self._end = time.monotonic() + _SECONDS

    def finding(self) -> Finding | None:
        """The alternative that gains most, with one more option each as long as that gains too;
        None: none gains, or the images have no score.
        """
        plain = _Option("", self._data.input, self._data.output)
        declared = self._accuracy(plain, self._rows)
        if declared is None or self._metric not in declared.values:
            return None
        best: _Scored | None = None
        lines: tuple[str, ...] = ()
        tried = 0
        for _ in range(_ROUNDS):
            base = plain if best is None else best.option
            before = 0.0 if best is None else best.gain
            scored, more = self._round(base, declared, before)
            tried += more
            if not scored or scored[0].gain < before + (_FURTHER_GAIN if best else 1e-9):
                break
            best = scored[0]
            alike = [one.option.line for one in scored if one.gain >= best.gain - _TIE]
            lines = tuple(alike[:_NAMED])
        if best is None:
            return None
        plainly, changed = (self._accuracy(one, self._fresh) for one in (plain, best.option))
        if plainly is None or changed is None:
            return None
        return Finding(
            lines=lines,
            metric=self._metric,
            declared=plainly.values[self._metric],
            reached=changed.values[self._metric],
            images=len(self._fresh),
            of=plainly.images,
            certain=self._is_certain(changed, plainly, 1 if self._halved else tried),
        )

    def _round(self, base: _Option, declared: Accuracy, before: float) -> tuple[list[_Scored], int]:
        """Those that gain more than `before` with one option of `base` changed, best first, and how
        many were tried.
        """
        few = self._accuracy(base, self._first)
        promising = []
        tried = 0
        for option in self._options(base):
            if time.monotonic() > self._end:
                break
            tried += 1
            accuracy = self._accuracy(option, self._first)
            if accuracy is not None and (few is None or self._gain(accuracy, few) > 0):
                promising.append((self._gain(accuracy, few) if few else 0.0, option))
        promising.sort(key=lambda pair: -pair[0])
        scored = []
        for _, option in promising[:_KEPT]:
            accuracy = self._accuracy(option, self._rows)
            if accuracy is not None and self._gain(accuracy, declared) > before:
                scored.append(_Scored(option, accuracy, self._gain(accuracy, declared)))
        return sorted(scored, key=lambda one: -one.gain), tried

    def _options(self, base: _Option) -> Iterator[_Option]:
        for line, pixels, output in self._data.task.alternatives(base.pixels, base.output):
            yield _Option(f"{base.line} and {line}" if base.line else line, pixels, output)

    def _gain(self, accuracy: Accuracy, other: Accuracy) -> float:
        return self._sign * (accuracy.values[self._metric] - other.values[self._metric])

    def _is_certain(self, accuracy: Accuracy, declared: Accuracy, tried: int) -> bool:
        """Whether the gain is large and beyond noise; `tried` alternatives were chosen from by the
        same images.
        """
        if self._gain(accuracy, declared) < _LEAST_GAIN * len(self._fresh) / declared.images:
            return False
        alpha = 2 * _ALPHA / max(tried, 1)  # one side of the interval
        difference = accuracy_difference(accuracy, declared, self._metric, alpha)
        if difference is None:
            return False
        return (difference.low if self._sign > 0 else -difference.high) > 0

    def _accuracy(self, option: _Option, rows: Sequence[int]) -> Accuracy | None:
        """Scores of some images alone; None where the options fit neither network nor data."""
        task, validation = self._data.task, self._data.split(VALIDATION)
        try:
            pipeline = task.pipeline(option.pixels, option.output)
            key = option.pixels.model_dump_json()
            predictions: list[Any] = []
            for row in rows:
                known = self._outputs.get((key, row))
                if known is None:
                    inputs, meta = pipeline.preprocess([np.array(validation.images[row])])
                    known = self._session.run(inputs), meta
                    self._tell()
                    self._keep((key, row), known)
                predictions += pipeline.postprocess(*known)
            part = task.part(validation, rows)
            if part is not None:
                return task.evaluate(part, predictions)
            changed = dict(zip(rows, predictions, strict=True))
            both = [changed.get(row, one) for row, one in enumerate(self._predictions)]
            return task.evaluate(validation, both) if both else None
        except Exception:  # noqa: BLE001 - options that do not fit raise whatever they do
            return None

    def _keep(self, place: tuple[str, int], outputs: tuple[tuple[Any, ...], Any]) -> None:
        """Keeps outputs for the other decoders; those of a segmenter can be 100 MB an image."""
        self._bytes += sum(array.nbytes for array in outputs[0])
        if self._bytes <= _MOST_KEPT:
            self._outputs[place] = outputs


def spread(count: int, most: int) -> list[int]:
    """At most so many of `count` images, at equal distances.

    A folder of classes is sorted by them: its first images are of one class, and a network that
    calls everything that class would be right about them.
    """
    return [row * count // most for row in range(most)] if count > most else list(range(count))
