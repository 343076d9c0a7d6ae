"""One session: plan, measure, judge, and at the end report and changes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness import changes as edits
from harness import suitefile
from harness.baselines import Baseline, Store, StoredMetric
from harness.errors import PerfgateError
from harness.judge import Evidence, Risk, judge, measured, summarise, why_not
from harness.machine import Environment, Machine, differences, this_environment, this_machine
from harness.measure.bench import Bench, allocator, clear_logs
from harness.measure.device import exclusive
from harness.metric import Metric, Rule
from harness.recipe import Budget, Recipe, Suite
from harness.record import (
    Change,
    Failure,
    RecipeRecord,
    SessionRecord,
    Status,
    SuiteRecord,
    Verdict,
)
from harness.settings import Settings
from harness.suitefile import SuiteFile
from harness.values import launch_values, level, yardstick_values

MEASURED = "measured"
"""The test of a recipe without budgets: that it was measured at all."""

BROKEN = "recipe"
"""The test of a recipe that cannot be read."""

_FEWEST = 4  # launches before a session may end
_FEWEST_TO_STORE = 8  # the same when baselines are written: they are compared with for long

Show = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One test: a budget of a recipe, or what stands in for it."""

    file: Path
    recipe: str
    metric: str


@dataclass
class _Plan:
    """What was selected of one suite: recipe name to the metrics asked for."""

    read: SuiteFile
    wanted: dict[str, list[str]] = field(default_factory=dict)


class Session:
    """Measures each suite once, when the first of its tests asks for a verdict."""

    def __init__(self, settings: Settings, show: Show) -> None:
        self.settings = settings
        self._show = show
        self._plans: dict[Path, _Plan] = {}
        self._done: dict[Path, dict[tuple[str, str], Verdict]] = {}
        self._records: list[SuiteRecord] = []
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._machine: Machine | None = None
        self._environment: Environment | None = None
        self.complete = True

    # -- the plan --------------------------------------------------------------------------

    def read(self, file: Path) -> SuiteFile:
        """The suite file, read once."""
        if file not in self._plans:
            self._plans[file] = _Plan(suitefile.read(file, self.settings.root))
        return self._plans[file].read

    def cases(self, file: Path) -> list[Case]:
        """Every test of a suite file."""
        read = self.read(file)
        if read.suite is None:
            return [Case(file, "", BROKEN)]
        found = [Case(file, name, BROKEN) for name in read.problems]
        for recipe in read.suite.recipes.values():
            names = [budget.metric for budget in recipe.budgets] or [MEASURED]
            found += [Case(file, recipe.name, name) for name in names]
        return found

    def select(self, cases: Sequence[Case]) -> None:
        """Tells which tests will run; their recipes and those' references are measured."""
        for case in cases:
            self.read(case.file)
            self._plans[case.file].wanted.setdefault(case.recipe, []).append(case.metric)

    @property
    def limits(self) -> int:
        """How many limits share the session's alpha."""
        total = 0
        for plan in self._plans.values():
            if plan.read.suite is None:
                continue
            for name, metrics in plan.wanted.items():
                recipe = plan.read.suite.recipes.get(name)
                if recipe is not None:
                    total += sum(
                        len(budget.limits) for budget in recipe.budgets if budget.metric in metrics
                    )
        return max(1, total)

    # -- verdicts --------------------------------------------------------------------------

    def verdict(self, case: Case) -> Verdict:
        """The verdict on one test; measures its suite first when that was not done yet.

        Raises:
            PerfgateError: the suite could not be measured at all.
        """
        if case.file not in self._done:
            plan = self._plans[case.file]
            if not plan.wanted:
                self.select([case])
            self._done[case.file] = self._run(plan)
        found = self._done[case.file].get((case.recipe, case.metric))
        if found is None:
            raise PerfgateError(f"no verdict was reached on {case.recipe} {case.metric}")
        return found

    @property
    def machine(self) -> Machine:
        """The fingerprint of this machine, read once."""
        if self._machine is None:
            self._machine = this_machine()
        return self._machine

    @property
    def environment(self) -> Environment:
        """What else the measurements depend on, read once."""
        if self._environment is None:
            self._environment = this_environment(allocator=allocator())
        return self._environment

    def recipe(self, case: Case) -> RecipeRecord | None:
        """What was measured of a test's recipe, None before its suite was."""
        folder = _relative(case.file.parent, self.settings.root)
        for suite in self._records:
            for record in suite.recipes:
                if (suite.folder, record.name) == (folder, case.recipe):
                    return record
        return None

    def _run(self, plan: _Plan) -> dict[tuple[str, str], Verdict]:
        broken = _broken(plan)
        if plan.read.suite is None:
            self._records.append(
                SuiteRecord(
                    name=plan.read.file.parent.name,
                    folder=_relative(plan.read.file.parent, self.settings.root),
                    task="",
                    model="",
                    recipes=tuple(record for record, _ in broken),
                    verdicts=tuple(verdict for _, verdict in broken),
                )
            )
            return {("", BROKEN): broken[0][1]}
        with exclusive("cpu", self.settings.wait, self._show):
            run = _SuiteRun(self, plan.read.suite, plan.wanted, self._show)
            record = run.run()
        record = record.model_copy(
            update={
                "recipes": record.recipes + tuple(each for each, _ in broken),
                "verdicts": record.verdicts + tuple(verdict for _, verdict in broken),
            }
        )
        self._records.append(record)
        return {(verdict.recipe, verdict.metric): verdict for verdict in record.verdicts}

    # -- the end ---------------------------------------------------------------------------

    def record(self) -> SessionRecord | None:
        """All that was measured so far; None when no suite was."""
        if not self._records:
            return None
        settings = self.settings
        commit, dirty = _commit(settings.root)
        return SessionRecord(
            id=self._started.strftime("%Y%m%d-%H%M%S"),
            started=self._started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._clock, 1),
            command=settings.command,
            commit=commit,
            dirty=dirty,
            machine=self.machine,
            environment=self.environment,
            settings={
                "alpha": settings.alpha,
                "limits": self.limits,
                "seconds": settings.seconds,
                "strict": settings.strict,
                "rounds": settings.rounds,
            },
            complete=self.complete,
            suites=tuple(self._records),
        )


class _SuiteRun:
    """One suite of one session, from build to verdicts."""

    def __init__(
        self, session: Session, suite: Suite, wanted: Mapping[str, list[str]], show: Show
    ) -> None:
        self._session = session
        self._settings = session.settings
        self._suite = suite
        self._wanted = {name: wanted[name] for name in suite.recipes if name in wanted}
        self._show = show
        self._metrics = suitefile.metrics_of(suite.task)
        self._store = Store(self._settings.baselines)
        self._bench = Bench(suite, self._settings, lambda text: show(f"{suite.name}: {text}"))
        self._stored: dict[str, Baseline] = {}
        self._unreadable: dict[str, PerfgateError] = {}
        self._skipped: dict[str, Failure] = {}
        self._risk = Risk(fail=self._settings.alpha / session.limits)
        self._now = datetime.now(UTC)

    def run(self) -> SuiteRecord:
        phases = {}
        clock = time.monotonic()
        recipes = self._needed()
        self._find_missing(recipes)
        self._read_baselines(recipes)
        build = [recipe for recipe in recipes if recipe.name not in self._skipped]
        self._bench.prepare(build)
        phases["build"] = round(time.monotonic() - clock, 1)
        clock = time.monotonic()
        verdicts = self._measure(build)
        phases["measure"] = round(time.monotonic() - clock, 1)
        clear_logs(self._settings.cache)
        records = [self._record(recipe) for recipe in recipes]
        return SuiteRecord(
            name=self._suite.name,
            folder=_relative(self._suite.folder, self._settings.root),
            task=self._suite.task,
            model=self._suite.model,
            data=dict(self._suite.data),
            batch=self._suite.batch,
            recipes=tuple(records),
            yardstick=tuple(self._bench.yardstick),
            summaries={
                record.name: summarise(self._evidence(self._suite.recipes[record.name]))
                for record in records
                if record.failure is None
            },
            verdicts=tuple(verdicts),
            suspects=self._suspects(),
            phases=phases,
        )

    def _needed(self) -> list[Recipe]:
        """The recipes asked for and the references that they are compared with."""
        names = dict.fromkeys(self._wanted)
        for name in self._wanted:
            names[self._suite.recipes[name].reference] = None
        return [recipe for name, recipe in self._suite.recipes.items() if name in names]

    def _find_missing(self, recipes: Sequence[Recipe]) -> None:
        for recipe in recipes:
            missing = suitefile.missing_packages(self._suite, recipe)
            if missing:
                listed = ", ".join(dict.fromkeys(each.module for each in missing))
                self._skipped[recipe.name] = Failure(
                    stage="build",
                    problem=f"not installed: {listed}",
                    next_step=" && ".join(dict.fromkeys(each.install for each in missing)),
                    missing_package=True,
                )

    def _read_baselines(self, recipes: Sequence[Recipe]) -> None:
        for recipe in recipes:
            try:
                found = self._store.read(self._session.machine, self._suite.name, recipe.name)
            except PerfgateError as error:
                self._unreadable[recipe.name] = error
            else:
                if found is not None:
                    self._stored[recipe.name] = found

    def _measure(self, recipes: Sequence[Recipe]) -> list[Verdict]:
        """Adds launches until every budget is decided or the time is up."""
        from harness.stats.sequential import LOOKS

        fewest = _FEWEST_TO_STORE if self._settings.update else _FEWEST
        start = time.monotonic()
        live = [recipe.name for recipe in recipes]
        for count in range(1, LOOKS[-1] + 1):
            before = time.monotonic()
            self._bench.launch(live, self._note(count, live, start))
            now = time.monotonic()
            late = now - start + (now - before) > self._settings.seconds
            if count >= fewest and (late or count in LOOKS):
                verdicts = self._verdicts()
                live = self._undecided(verdicts)
                if late or not live:
                    return verdicts
            elif late and count >= LOOKS[0] and not self._settings.update:
                break
            if all(name in self._bench.failures for name in live):
                break
        return self._verdicts()

    def _note(self, count: int, live: Sequence[str], start: float) -> str:
        passed = time.monotonic() - start
        return (
            f"launch {count}, {len(live)} recipes, {passed:.0f} of {self._settings.seconds:.0f} s "
        )

    def _undecided(self, verdicts: Sequence[Verdict]) -> list[str]:
        """Recipes with something left to decide by more launches, and their references."""
        names: dict[str, None] = {}
        for verdict in verdicts:
            metric = self._metrics.get(verdict.metric)
            if (
                verdict.status is Status.INCONCLUSIVE
                and metric is not None
                and metric.rule is Rule.LAUNCHES
            ):
                names[self._suite.recipes[verdict.recipe].reference] = None
                names[verdict.recipe] = None
        return list(names)

    def _verdicts(self) -> list[Verdict]:
        found = []
        for name, metrics in self._wanted.items():
            recipe = self._suite.recipes[name]
            evidence = self._evidence(recipe)
            budgets = {budget.metric: budget for budget in recipe.budgets}
            for metric in dict.fromkeys(metrics):
                if metric == MEASURED:
                    found.append(measured(evidence.record, MEASURED))
                elif metric in budgets:
                    found.append(self._verdict(budgets[metric], evidence))
        return found

    def _verdict(self, budget: Budget, evidence: Evidence) -> Verdict:
        metric = self._metrics[budget.metric]
        name = evidence.record.name
        reason = why_not(budget.when, self._session.machine)
        if reason:
            return Verdict(
                recipe=name,
                metric=metric.name,
                status=Status.SKIPPED,
                unit=metric.unit.value,
                reason=f"does not apply on this machine: {reason}",
            )
        unreadable = self._unreadable.get(name)
        if unreadable is not None and any(limit.kind == "regression" for limit in budget.limits):
            return Verdict(
                recipe=name,
                metric=metric.name,
                status=Status.ERROR,
                unit=metric.unit.value,
                reason=f"{unreadable.where}: {unreadable.problem}",
                next_step=unreadable.next_step,
            )
        return judge(budget, metric, evidence, self._risk, self._now)

    def _record(self, recipe: Recipe) -> RecipeRecord:
        record = self._bench.record(recipe)
        skipped = self._skipped.get(recipe.name)
        return record.model_copy(update={"failure": skipped}) if skipped else record

    def _evidence(self, recipe: Recipe) -> Evidence:
        reference = self._suite.recipes.get(recipe.reference)
        return Evidence(
            record=self._record(recipe),
            reference=self._record(reference) if reference and reference is not recipe else None,
            baseline=self._stored.get(recipe.name),
            yardstick=tuple(self._bench.yardstick),
            metrics=self._metrics,
        )

    def _suspects(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for baseline in self._stored.values():
            for line in differences(baseline.environment, self._session.environment):
                found[line] = None
        for name, baseline in self._stored.items():
            if baseline.spec != spec_digest(self._record(self._suite.recipes[name])):
                found[f"the recipe {name} has other steps or another runtime than its baseline"] = (
                    None
                )
        return tuple(found)


def conclude(
    record: SessionRecord, settings: Settings, now: datetime
) -> tuple[SessionRecord, tuple[PerfgateError, ...]]:
    """Proposes the changes of the stored baselines, and writes them when that was asked for.

    Returns the record with its changes, and what stood in the way.
    """
    store = Store(settings.baselines)
    problems: list[PerfgateError] = []
    suites = []
    for suite in record.suites:
        if not suite.task:
            suites.append(suite)
            continue
        metrics = suitefile.metrics_of(suite.task)
        refused = edits.refusals(suite, metrics)
        new = {
            each.name: baseline_of(record, suite, each, metrics)
            for each in suite.recipes
            if each.name not in refused
        }
        stored = {}
        for name in list(new):
            try:
                found = store.read(record.machine, suite.name, name)
            except PerfgateError:
                del new[name]  # its verdict says so already; the file stays as it is
                continue
            if found is not None:
                stored[name] = found
        proposed = edits.propose(stored, new, metrics)
        if settings.update and record.complete:
            try:
                proposed = edits.write(
                    proposed, new=new, stored=stored, store=store, reason=settings.reason, now=now
                )
            except PerfgateError as error:
                problems.append(error)
        suites.append(suite.model_copy(update={"changes": proposed}))
    return record.model_copy(update={"suites": tuple(suites)}), tuple(problems)


def baseline_of(
    session: SessionRecord,
    suite: SuiteRecord,
    record: RecipeRecord,
    metrics: Mapping[str, Metric],
) -> Baseline:
    """What would be stored of a recipe."""
    yard = yardstick_values(suite.yardstick)
    stored = {}
    for metric in metrics.values():
        value = level(record, metric)
        if value is None:
            continue
        launches = launch_values(record, metric) if metric.rule is Rule.LAUNCHES else {}
        known = all(index in yard for index in launches)
        stored[metric.name] = StoredMetric(
            unit=metric.unit,
            value=_short(value),
            launches=tuple(_short(each) for each in launches.values()),
            yardstick=tuple(_short(yard[index]) for index in launches) if known else (),
        )
    return Baseline(
        suite=suite.name,
        recipe=record.name,
        recorded=session.started,
        commit=session.commit,
        dirty=session.dirty,
        machine=session.machine,
        environment=session.environment,
        spec=spec_digest(record),
        metrics=stored,
        accuracy=record.accuracy,
    )


def spec_digest(record: RecipeRecord) -> str:
    """Digest of what a recipe is built from: its chain and runtime, not its budgets."""
    from harness.measure.store import digest_of

    return digest_of({key: record.spec.get(key) for key in ("chain", "runtime")})[:16]


def written(suites: Sequence[SuiteRecord]) -> list[Change]:
    """The changes that were written."""
    return [change for suite in suites for change in suite.changes if change.written]


def _broken(plan: _Plan) -> list[tuple[RecipeRecord, Verdict]]:
    """Records and verdicts of what could not be read, as far as it was asked for."""
    found = []
    problems = dict(plan.read.problems)
    if plan.read.suite is None:
        problems = {"": plan.read.suite_problems}
    for name, errors in problems.items():
        if name not in plan.wanted:
            continue
        text = "\n".join(
            f"{error.where}: {error.problem}" + (f" (valid: {error.valid})" if error.valid else "")
            for error in errors
        )
        steps = [error.next_step for error in errors if error.next_step]
        failure = Failure(stage="recipe", problem=text, next_step=steps[0] if steps else "")
        found.append(
            (
                RecipeRecord(name=name or "recipes.toml", reference="", failure=failure),
                Verdict(
                    recipe=name,
                    metric=BROKEN,
                    status=Status.ERROR,
                    unit="",
                    reason=text,
                    next_step=failure.next_step,
                ),
            )
        )
    return found


def _commit(root: Path) -> tuple[str, bool]:
    """The commit of the working tree and whether it has changes; "" outside a repository."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        state = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return head.stdout.strip(), bool(state.stdout.strip())


def _relative(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def _short(value: float) -> float:
    return float(f"{value:.7g}")
