"""One suite of one session: its arms prepared, measured and judged, and all of it recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from pytest_perfgate.baselines.elsewhere import Here
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.files import short_path
from pytest_perfgate.machine import steadiness
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.workplace import Workplace
from pytest_perfgate.metric import TAIL
from pytest_perfgate.records.launch_values import spread_of
from pytest_perfgate.records.recipe import Recipe
from pytest_perfgate.records.recipe_record import Failure, RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.search.run import RangeOutcome
from pytest_perfgate.session.arms import Arms, copy_of
from pytest_perfgate.session.inputs_now import InputsNow
from pytest_perfgate.session.slow_recipes import Slowness
from pytest_perfgate.session.suite_at import BaseTree
from pytest_perfgate.session.suite_judge import SuiteJudge
from pytest_perfgate.session.suite_launches import SuiteLaunches
from pytest_perfgate.suite.corruptions import cost_of
from pytest_perfgate.suite.locations import with_files
from pytest_perfgate.suite.metrics import metrics_of, own_metrics
from pytest_perfgate.suite.requirements import lacking
from pytest_perfgate.suite.shift import shift_record
from pytest_perfgate.verdicts.accuracy_intervals import collapsed, doubts
from pytest_perfgate.verdicts.evidence import Risk
from pytest_perfgate.verdicts.gpu_clock import clock_effects, launch_gaps
from pytest_perfgate.verdicts.no_gain import without_gain
from pytest_perfgate.verdicts.scope_bounds import absent_sets
from pytest_perfgate.verdicts.scope_table import scope_rows
from pytest_perfgate.verdicts.shown_values import summarise
from pytest_perfgate.verdicts.tail_bounds import slow_tails


def folds_cost(suite: str, recipe: Recipe) -> str:
    """What the folds of a recipe cost, before they start."""
    count = recipe.folds.count if recipe.folds else 0
    steps = " -> ".join(spec.name for spec in recipe.chain)
    return (
        f"{suite}: the folds of {recipe.name} build and test {count} more models ({steps}): about "
        f"{count} times what its own takes, less those in the cache"
    )


class SuiteRun:
    """One suite of one session, from build to record.

    Args:
        values: the suite, with values in place of its ranges.
        wanted: recipe names and the metrics that tests were selected for.
        limits: how many limits share the session's alpha.
        base: the other version of the code, None for none.
        show: called with progress, on one line.
        say: called with what people should read before the end.
        inputs: what the recipes rest on; None: that is not recorded.
        workplace: where arms are built and evaluated; None for this host.
    """

    def __init__(
        self,
        values: RangeOutcome,
        wanted: Mapping[str, list[str]],
        *,
        settings: Settings,
        machine: Machine,
        environment: Environment,
        limits: int,
        base: BaseTree | None,
        show: Progress,
        say: Progress,
        inputs: InputsNow | None = None,
        workplace: Workplace | None = None,
    ) -> None:
        self._inputs = inputs
        self._suite = suite = values.suite
        self._settings = settings
        self._say = say
        self._base = base
        self._metrics = metrics_of(suite.task, suite.scopes)
        wanted = {name: wanted[name] for name in suite.recipes if name in wanted}
        self._arms = Arms(
            suite,
            wanted,
            self._metrics,
            base,
            fetch=lambda other: with_files(other, settings.cache, show),
            hopeless=values.failures,
            values=values.values,
        )
        self._recipes = self._arms.recipes
        skipped = {**self._lacking(), **values.failures}
        self._bench = Bench(
            self._arms.all(skipped),
            settings,
            lambda text: show(f"{suite.name}: {text}"),
            workplace,
        )
        risk = Risk(fail=settings.alpha / limits)
        self._judge = SuiteJudge(
            suite,
            wanted,
            self._metrics,
            self._arms,
            self._bench,
            store=Store(settings.baselines),
            here=Here(machine, environment),
            base=base,
            risk=risk,
            skipped=skipped,
            searches=values.searches,
        )
        self._bench.yardsticks.correct_also(self._judge.pieces)
        if base is not None and not settings.update:
            self._bench.yardsticks.thin()
        self._launches = SuiteLaunches(
            suite.name,
            wanted,
            self._metrics,
            self._arms,
            self._bench,
            self._judge,
            settings=settings,
            risk=risk,
            say=say,
        )

    def _lacking(self) -> dict[str, Failure]:
        """Recipes that this machine has not everything for."""
        failures = {recipe.name: lacking(self._suite, recipe) for recipe in self._recipes}
        return {name: failure for name, failure in failures.items() if failure is not None}

    @property
    def files(self) -> set[str]:
        """The suite file, and the files that its recipes rest on: relative to the project's root,
        or whole paths.
        """
        files = {short_path(self._suite.file, self._settings.root)}
        return files.union(*(self._bench.files(recipe.name) for recipe in self._recipes))

    def run(self) -> SuiteRecord:
        """Everything, in its order."""
        phases = {}
        for recipe in self._recipes:
            if recipe.folds is not None:
                self._say(folds_cost(self._suite.name, recipe))
        with self._bench:
            clock = time.monotonic()
            if self._suite.corruptions is not None:
                self._say(f"{self._suite.name}: {cost_of(self._suite.corruptions)}")
            self._bench.prepare()
            phases["build"] = round(time.monotonic() - clock, 1)
            clock = time.monotonic()
            self._launches.announce()
            verdicts = self._launches.run()
            phases["measure"] = round(time.monotonic() - clock, 1)
            clock = time.monotonic()
            slowness = Slowness(
                self._bench,
                self._suite,
                self._metrics,
                self._settings.profile,
                self._base.commit.name if self._base else "",
            )
            verdicts = slowness.explained(verdicts, [recipe.name for recipe in self._recipes])
            if slowness.profiled:
                phases["profile"] = round(time.monotonic() - clock, 1)
        return self._record(verdicts, phases)

    def _record(self, verdicts: Sequence[Verdict], phases: dict[str, float]) -> SuiteRecord:
        suite, discarded = self._suite, self._judge.discarded()
        records = [self._recorded(recipe) for recipe in self._recipes]
        counted = [record.without(discarded) for record in records]
        conditions = steadiness.mark(self._bench.conditions)
        judged = {verdict.metric for verdict in verdicts}
        return SuiteRecord(
            name=suite.name,
            folder=short_path(suite.folder, self._settings.root),
            task=suite.task,
            model=str(suite.model),
            own_metrics=own_metrics(suite.task),
            scopes=suite.scopes,
            data=dict(suite.data),
            batch=suite.batch,
            policy={"between_samples": suite.between_samples, "turns": suite.turns},
            recipes=tuple(records),
            yardstick=tuple(self._bench.yardsticks.cores),
            device_yardsticks={
                gpu: tuple(launches) for gpu, launches in self._bench.yardsticks.devices.items()
            },
            conditions=conditions,
            notes=self._notes(conditions, records, counted, verdicts),
            thumbnails=self._bench.thumbnails,
            near_duplicates=self._bench.near_duplicates,
            summaries={
                record.name: summarise(self._judge.evidence(suite.recipes[record.name]))
                for record in records
                if record.failure is None
            },
            verdicts=tuple(verdicts),
            suspects=self._judge.suspects(),
            phases=phases,
            plan=self._launches.plan,
            base=self._judge.base_record(),
            controls=tuple(
                self._bench.record(copy_of(name))
                for name in self._arms.references
                if self._bench.alive([copy_of(name)])
            ),
            scoped={
                record.name: scope_rows(self._judge.evidence(suite.recipes[record.name]), judged)
                for record in records
                if record.failure is None
            },
            shift=shift_record(suite.shift, self._recipes),
            spreads={record.name: spread for record in counted if (spread := spread_of(record))},
        )

    def _recorded(self, recipe: Recipe) -> RecipeRecord:
        """What was measured of a recipe, with what that rests on."""
        record = self._judge.record(recipe.name)
        if record.failure is not None or self._inputs is None:
            return record
        inputs = self._inputs.recorded(recipe, self._bench.inputs(recipe.name))
        return record.model_copy(update={"inputs": inputs})

    def _notes(
        self,
        conditions: Sequence[Conditions],
        records: Sequence[RecipeRecord],
        counted: Sequence[RecipeRecord],
        verdicts: Sequence[Verdict],
    ) -> tuple[str, ...]:
        return (
            *steadiness.notes(conditions),
            *clock_effects(counted),
            *launch_gaps(counted),
            *collapsed(records),
            *without_gain(records),
            *dict.fromkeys(
                f"data{f' of {name}' if name else ''}: {note}"
                for record in records
                if record.accuracy is not None
                for name, accuracy in (("", record.accuracy), *record.accuracy.sets.items())
                for note in accuracy.notes
            ),
            *(f"near-duplicates: {near}" for near in self._bench.near_duplicates if near.images),
            *absent_sets(self._judge.evidence(recipe) for recipe in self._recipes),
            *doubts(records, verdicts),
            *self._slow_tails(verdicts),
            *self._arms.notes,
            *self._bench.notes,
        )

    def _slow_tails(self, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
        """Recipes of which few images take longer than at the base; a verdict on that says it."""
        if self._base is None:
            return ()
        judged = {verdict.recipe for verdict in verdicts if verdict.metric == TAIL}
        pairs = []
        for recipe in self._recipes:
            evidence = self._judge.evidence(recipe)
            base = evidence.base.record if evidence.base else None
            if recipe.name not in judged and base is not None:
                pairs.append((evidence.record, base))
        return slow_tails(pairs, self._base.commit.name, self._settings.alpha)
