"""Values for the recipes that have ranges: from their finished studies, or searched for now.

A search is long, and begins or goes on only where that was asked for. What it finds becomes a
recipe like any other; a recipe for which nothing was found is a failure with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest_perfgate
from pytest_perfgate.building.file_digests import Digests
from pytest_perfgate.building.package_versions import versions
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import digest_of, put
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.measure.workplace import Workplace
from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.recipe import Recipe, SearchSpec, Suite
from pytest_perfgate.records.recipe_record import Failure
from pytest_perfgate.records.recipe_spec import spec_of
from pytest_perfgate.records.search import Search, Trial, beside
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.search.study import Study, front, winner
from pytest_perfgate.search.trials import Goal, Trials, goal_of
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.reading import SuiteFile
from pytest_perfgate.suite.requirements import missing_packages
from pytest_perfgate.units import show, show_plain

_FILES = "files.json"
_FEWEST = 2  # trials that make a search: of one, nothing was chosen
_ASK = "pytest --perf --perf-search"


@dataclass(frozen=True)
class RangeOutcome:
    """What became of a suite's ranges.

    Attributes:
        suite: the suite with values in their places; recipes in `failures` have none.
        values: recipe name to the values, by their places.
        searches: recipe name to how they were found, or were not.
        failures: recipe name to why there are none.
    """

    suite: Suite
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    searches: Mapping[str, Search] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)


def resolve_ranges(
    read: SuiteFile,
    wanted: Collection[str],
    *,
    settings: Settings,
    machine: Machine,
    show: Progress,
    say: Progress,
    workplace: Workplace | None = None,
) -> RangeOutcome:
    """Values for every wanted recipe with ranges; one that lacks a package is left as it is.

    Where `settings.search` says so, studies are begun, or go on, until they are complete; trials
    are built at the workplace, None for this host.
    """
    suite = read.suite
    if suite is None:
        return RangeOutcome(_no_suite(read))
    values: dict[str, Mapping[str, Any]] = {}
    searches: dict[str, Search] = {}
    failures: dict[str, Failure] = {}
    recipes = dict(suite.recipes)
    for name, recipe in suite.recipes.items():
        if name not in wanted or recipe.search is None:
            continue
        if missing_packages(suite, recipe):
            continue
        one = _OneSearch(
            read, suite, recipe, recipe.search, settings, machine, show, say, workplace
        )
        try:
            searches[name] = one.run()
            values[name] = one.values(searches[name])
            recipes[name] = reading.filled(read, settings.root, name, values[name])
        except PerfgateError as error:
            failures[name] = Failure(
                stage="search", problem=error.problem, next_step=error.next_step
            )
    return RangeOutcome(replace(suite, recipes=recipes), values, searches, failures)


def _no_suite(read: SuiteFile) -> Suite:
    raise read.suite_problems[0]


class _OneSearch:
    """The search of one recipe: its study, and what is still to do on it."""

    def __init__(
        self,
        read: SuiteFile,
        suite: Suite,
        recipe: Recipe,
        spec: SearchSpec,
        settings: Settings,
        machine: Machine,
        show: Progress,
        say: Progress,
        workplace: Workplace | None,
    ) -> None:
        self._read = read
        self._workplace = workplace
        self._suite = suite
        self._recipe = recipe
        self._spec = spec
        self._settings = settings
        self._show = show
        self._say = say
        self._metrics: Mapping[str, Metric] = metrics_of(suite.task, suite.scopes)
        self._goal: Goal = goal_of(recipe, self._metrics, machine)
        self._key = digest_of(_study_key(suite, recipe, self._goal, machine))[:32]
        self._folder = _folder(settings, self._key)
        self._study = Study(self._folder, spec)
        self._fresh = 0

    def run(self) -> Search:
        """The study as far as it is, continued where that was asked for.

        Raises:
            PerfgateError: it is not complete, and nothing more was asked for.
        """
        if not self._study.complete and self._settings.search:
            self._search()
        elif not self._study.complete:
            done = len(self._study.trials)
            so_far = (
                f"{done} of {self._study.allowed} trials are done" if done else "none was tried"
            )
            raise PerfgateError(
                f"the search for its values is not finished: {so_far}",
                next_step=f"{_ASK}, or write values in place of its ranges",
            )
        trials = self._study.trials
        best = winner(trials)
        return Search(
            asked=self._study.allowed,
            limit=self._spec.seconds,
            seed=self._spec.seed,
            metric=self._goal.metric.name,
            unit=self._goal.metric.unit.value,
            score=self._goal.score.name,
            reference=self._recipe.reference,
            trials=trials,
            winner=best.number if best else None,
            front=front(trials),
            fresh=self._fresh,
            key=self._key,
        )

    def values(self, search: Search) -> Mapping[str, Any]:
        """Those that won: the proof that the search had an effect.

        Raises:
            PerfgateError: nothing was chosen, because there was nothing to choose from.
        """
        if len(search.trials) < min(_FEWEST, self._study.allowed):
            raise PerfgateError(
                f"the search had no effect: {len(search.trials)} of {search.asked} trials ended in "
                f"{search.limit or 0:g} s, and nothing was chosen",
                next_step="give it more `seconds`",
            )
        best = next((trial for trial in search.trials if trial.number == search.winner), None)
        if best is not None:
            return best.values
        raise PerfgateError(
            f"none of {len(search.trials)} trials keeps the budgets: {_reasons(search.trials)}",
            next_step="widen the ranges, or loosen a budget; every trial's reason is in the report",
        )

    def _search(self) -> None:
        """Trials until the study is complete, each beside the reference."""
        self._study.take_up()
        reference = self._suite.recipes[self._recipe.reference]
        pair = {reference.name: reference}
        arm = Arm(reference.name, replace(self._suite, recipes=pair), reference)
        name = f"{self._suite.name}/{self._recipe.name}"
        best = "lowest" if self._goal.metric.better is Better.LOWER else "highest"
        self._say(f"perfgate {name}: searching for the {best} {self._goal.metric.name}")
        with Bench([arm], self._settings, self._progress, self._workplace) as bench:
            bench.prepare()
            self._refuse(bench, reference.name)
            trials = Trials(
                bench,
                self._suite,
                self._goal,
                self._metrics,
                self._settings.alpha,
                self._study.allowed,
            )
            files = _read_files(self._folder)
            while not self._study.complete:
                proposal = self._study.ask()
                if proposal is None:
                    break
                number, values = proposal
                trial, used = trials.measure(
                    number,
                    values,
                    lambda v=values: reading.filled(  # type: ignore[misc] # of this round
                        self._read, self._settings.root, self._recipe.name, v
                    ),
                    self._where(),
                )
                self._refuse(bench, reference.name)
                used = bench.files(reference.name) | used
                _refuse_changes(files, used)
                files |= used
                _write_files(self._folder, files)
                self._study.tell(trial)
                self._fresh += 1
                self._say(f"perfgate {name}: {self._summary(trial)}")

    def _progress(self, text: str) -> None:
        self._show(f"{self._recipe.name}: {self._where()}  {text}")

    def _where(self) -> str:
        done = self._study.trials
        best = winner(done)
        unit = self._goal.metric.unit
        so_far = f", best {beside(best.ratio, unit)}" if best and best.ratio is not None else ""
        return f"trial {len(done) + 1} of {self._study.allowed}{so_far} "

    def _summary(self, trial: Trial) -> str:
        """A finished trial in a line."""
        listed = ", ".join(f"{place} {show_plain(value)}" for place, value in trial.values.items())
        if trial.level is None or trial.ratio is None:
            what = "not measured"
        else:
            unit = self._goal.metric.unit
            times = beside(trial.ratio, unit)
            what = f"{self._goal.metric.name} {show(trial.level, unit)} ({times})"
        if trial.score is not None:
            what += f", {self._goal.score.name} {trial.score:.4f}"
        done = f"trial {trial.number} of {self._study.allowed}"
        return f"{done}: {listed}: {what}" + (f"; {trial.reason}" if trial.reason else "")

    def _refuse(self, bench: Bench, reference: str) -> None:
        """Ends a search whose reference is lost: what it is looked for with, not what it found."""
        failed = bench.failures.get(reference)
        if failed is not None:
            raise PerfgateError(
                f"{reference!r}, the reference of the trials, failed: {failed.problem}",
                next_step=failed.next_step,
            )


def _refuse_changes(before: Mapping[str, str], used: Mapping[str, str]) -> None:
    """Refuses to go on when a file that trials use has changed since the search began."""
    changed = sorted(name for name in used if before.get(name, used[name]) != used[name])
    if changed:
        raise PerfgateError(
            f"{changed[0]} has changed since the search began; trials of two versions of the code "
            "cannot be compared",
            next_step=f"{_ASK} starts a new search",
        )


def _reasons(trials: Collection[Trial]) -> str:
    """Why trials cannot win, the most frequent first, each once."""
    counts: dict[str, int] = {}
    for trial in trials:
        broken = [name for name, away in trial.constraints.items() if away > 0]
        reason = f"{' and '.join(broken)} not kept" if broken else trial.reason
        counts[reason] = counts.get(reason, 0) + 1
    listed = sorted(counts.items(), key=lambda pair: -pair[1])
    return "; ".join(f"{reason} ({times} times)" for reason, times in listed[:3])


def _study_key(suite: Suite, recipe: Recipe, goal: Goal, machine: Machine) -> dict[str, Any]:
    """What a study is of: whatever of it changes, values found before are no longer its own."""
    reference = suite.recipes[recipe.reference]
    budgets = {
        budget.metric: {limit.kind.value: limit.value for limit in budget.limits}
        for budget in goal.budgets
    }
    spec = recipe.search
    return {
        "pytest_perfgate": pytest_perfgate.__version__,
        "versions": versions(),
        "machine": machine.id,
        "suite": [
            suite.name,
            suite.task,
            suite.model.name,
            dict(suite.model.options),
            dict(suite.data),
            suite.trainer,
        ],
        **({"locations": _contents(suite)} if suite.locations else {}),
        "images": [dict(suite.input), dict(suite.output)],
        "measured": [suite.batch, suite.threads, suite.between_samples, suite.turns],
        "recipe": spec_of(recipe) | {"budgets": budgets},
        "reference": spec_of(reference) | {"budgets": {}},
        "ranges": [vars(values) for values in spec.ranges] if spec else [],
        "seed": spec.seed if spec else 0,
        "goal": goal.metric.name,
    }


def _contents(suite: Suite) -> dict[str, str]:
    """The content of what a suite names in stores, by URL."""
    return {url: locked.digest for url, locked in suite.locations.items()}


def _folder(settings: Settings, key: str) -> Path:
    """Of the study under a key whose trials read the project's files as they are now."""
    above = settings.cache / "searches" / key
    now = Digests(settings.root)
    number = 0
    while not now.unchanged(_read_files(above / str(number))):
        number += 1
    return above / str(number)


def _read_files(folder: Path) -> dict[str, str]:
    try:
        files: dict[str, str] = json.loads((folder / _FILES).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PerfgateError(
            f"the study cannot be read: {error}",
            where=str(folder),
            next_step=f"delete the study and search again: rm -r {folder}",
        ) from error
    return files


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    put(folder / _FILES, json.dumps(files))
