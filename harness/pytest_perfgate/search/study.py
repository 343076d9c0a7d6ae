"""A study: which values are tried next, and what became of those before. Optuna's, kept on disk.

It outlives whoever works on it: what was finished stays, and a trial that was cut off is tried
again with the same values.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import random
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.recipe import Range, SearchSpec
from pytest_perfgate.records.search import Trial
from pytest_perfgate.suite.ranges import count, exact

if TYPE_CHECKING:
    import optuna

_NAME = "values"
_RECORD = "trial"  # the key of what is kept of a finished trial
_JOURNAL = "journal.log"
_GUESSES = 5  # times that the sampler may ask for what is known, before chance is asked
_TRIES = 50  # times that chance may
_FEW = 10_000  # sets of values that can be listed


class Study:
    """The study in a folder, which need not be there yet.

    Raises:
        PerfgateError: what is there cannot be read.
    """

    def __init__(self, folder: Path, spec: SearchSpec) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._spec = spec
        self._size = count(spec.ranges)
        folder.mkdir(parents=True, exist_ok=True)
        journal = str(folder / _JOURNAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                backend = JournalFileBackend(journal, _Lock(folder / "journal.lock"))  # type: ignore[arg-type] # it is Optuna's lock in all but its base class
                self._study = optuna.create_study(
                    study_name=_NAME, storage=JournalStorage(backend), load_if_exists=True
                )
            self._done = self._finished()
        except (OSError, ValueError, KeyError, ValidationError) as error:
            raise PerfgateError(
                f"the study cannot be read: {type(error).__name__}: {error}",
                where=str(folder),
                next_step=f"delete the study and search again: rm -r {folder}",
            ) from error

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All that are finished, in their order."""
        return tuple(self._done)

    @property
    def allowed(self) -> int:
        """How many trials there will be at the most: no more than there are values."""
        return min(self._spec.trials, self._size or self._spec.trials)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to try: trials, time or values are used up."""
        late = self._spec.seconds is not None and self.seconds >= self._spec.seconds
        return late or len(self._done) >= self.allowed

    @property
    def seconds(self) -> float:
        """Of all finished trials."""
        return sum(trial.seconds for trial in self._done)

    def take_up(self) -> None:
        """Has what was cut off tried again, with the same values."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _RECORD in trial.user_attrs:
                record = Trial.model_validate(trial.user_attrs[_RECORD])
                self._settle(trial.number, record)
                self._done.append(record)
                continue
            self._study.tell(trial.number, state=TrialState.FAIL)
            if set(trial.params) == {span.place for span in self._spec.ranges}:
                self._study.enqueue_trial(trial.params)

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The number of the next trial and its values; None when there is nothing new to try."""
        from optuna.trial import TrialState

        known = {_text(trial.values) for trial in self._done}
        few = self._size is not None and self._size <= self._spec.trials
        for attempt in range(_TRIES):
            left = self._untried(known) if few or attempt >= _GUESSES else []
            if left:
                self._study.enqueue_trial(left[0], skip_if_exists=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._study.sampler = self._sampler(attempt)
                trial = self._study.ask(distributions(self._spec.ranges))
            values = values_of(self._spec.ranges, trial.params)
            if _text(values) not in known:
                self._pending = trial
                return len(self._done) + 1, values
            self._study.tell(trial, state=TrialState.FAIL)  # it says nothing about its values
        return None

    def tell(self, record: Trial) -> None:
        """What became of the trial that was asked for last."""
        for name, distance in record.constraints.items():
            self._pending.set_constraint(name, distance)
        # What is kept comes before its end is told: cut off in between, it is found again.
        self._pending.set_user_attr(_RECORD, record.model_dump(mode="json"))
        self._settle(self._pending.number, record)
        self._done.append(record)

    def _settle(self, number: int, record: Trial) -> None:
        from optuna.trial import TrialState

        if record.ratio is None:
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, record.ratio)

    def _finished(self) -> list[Trial]:
        from optuna.trial import TrialState

        return [
            Trial.model_validate(trial.user_attrs[_RECORD])
            for trial in self._study.get_trials(deepcopy=False)
            if _RECORD in trial.user_attrs and trial.state is not TrialState.RUNNING
        ]

    def _untried(self, known: Collection[str]) -> list[dict[str, Any]]:
        """Of few enough sets of values, those that were not tried, shuffled, as Optuna has them."""
        if self._size is None or self._size > _FEW:
            return []
        spans = self._spec.ranges
        grids = [_grid(span) for span in spans]
        sets = [
            dict(zip((span.place for span in spans), values, strict=True))
            for values in itertools.product(*grids)
        ]
        sets = [drawn for drawn in sets if _text(values_of(spans, drawn)) not in known]
        random.Random(self._spec.seed).shuffle(sets)  # noqa: S311 - no secret
        return sets

    def _sampler(self, attempt: int) -> optuna.samplers.BaseSampler:
        """Seeded by how far the study is, so that one that goes on does not repeat its chances."""
        from optuna.samplers import RandomSampler, TPESampler

        seed = (self._spec.seed * 1_000_003 + len(self._done) * 1009 + attempt) % 2**32
        if attempt >= _GUESSES:
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=max(3, self._spec.trials // 4))


class _Lock:
    """Of the journal while a line is added: gone with whoever is killed holding it, which Optuna's
    own, a file that is there, is not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def acquire(self) -> bool:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        self._file.close()


def _text(values: Mapping[str, Any]) -> str:
    """Values as one line, so that 1 and true are two."""
    return json.dumps(values, sort_keys=True, default=str)


def _grid(span: Range) -> list[Any]:
    """Every value of a range that has an end of them, as `distributions` have it."""
    if span.choices:
        return list(range(len(span.choices)))
    step = span.step or 1
    return [exact(span, span.low + index * step) for index in range(count([span]) or 0)]


def distributions(ranges: Sequence[Range]) -> dict[str, optuna.distributions.BaseDistribution]:
    """The ranges in Optuna's words; a choice is known by its number."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for values in ranges:
        if values.choices:
            distributions[values.place] = CategoricalDistribution(tuple(range(len(values.choices))))
        elif isinstance(exact(values, values.low), int):
            step = 1 if values.step is None else int(values.step)
            distributions[values.place] = IntDistribution(
                int(values.low), int(values.high), values.log, step
            )
        else:
            step_size = None if values.step is None else float(values.step)
            low, high = float(values.low), float(values.high)
            distributions[values.place] = FloatDistribution(low, high, values.log, step_size)
    return distributions


def values_of(ranges: Sequence[Range], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What was drawn from `distributions`, as values for the recipe."""
    return {
        values.place: values.choices[drawn[values.place]]
        if values.choices
        else exact(values, drawn[values.place])
        for values in ranges
    }


def winner(trials: Sequence[Trial]) -> Trial | None:
    """The fastest that keeps every budget; None: there is none."""
    return min(
        (trial for trial in trials if trial.feasible),
        key=lambda trial: (trial.ratio or 0.0, trial.number),
        default=None,
    )


def front(trials: Sequence[Trial]) -> tuple[int, ...]:
    """Numbers of those that no other beats in both score and speed, feasible or not."""
    known = [
        (trial.ratio, -trial.score, trial.number)
        for trial in trials
        if trial.ratio is not None and trial.score is not None
    ]
    return tuple(
        number
        for ratio, loss, number in sorted(known)
        if not any(
            other[0] <= ratio and other[1] <= loss and (other[0], other[1]) != (ratio, loss)
            for other in known
        )
    )
