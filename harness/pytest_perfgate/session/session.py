"""One session: plan, measure, judge, and at the end report and changes."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.files import put, short_path
from pytest_perfgate.fleet.fleet import Fleet
from pytest_perfgate.machine.cache_folders import keep_out_of_git
from pytest_perfgate.machine.fingerprint import Environment, Machine, this_environment, this_machine
from pytest_perfgate.machine.host_share import kept
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.machine.processes import is_of_the_machine, problem_of
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.worker_environment import allocator
from pytest_perfgate.metric import Rule
from pytest_perfgate.plain_text import encodable, without_secrets
from pytest_perfgate.records.earlier import Lookup
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.report import publish
from pytest_perfgate.search.run import RangeOutcome, resolve_ranges
from pytest_perfgate.session.base_code import BaseCode
from pytest_perfgate.session.case import Case
from pytest_perfgate.session.failed_suite import BROKEN, failed_suite, unread, unread_suite
from pytest_perfgate.session.fetched_suites import FetchedSuites
from pytest_perfgate.session.inputs_now import InputsNow
from pytest_perfgate.session.measured_suite import Surroundings, unmeasured, with_unaffected
from pytest_perfgate.session.suite_judge import MEASURED
from pytest_perfgate.session.suite_run import SuiteRun
from pytest_perfgate.session.working_tree import WorkingTree, notes_on_untracked
from pytest_perfgate.suite import reading, requirements
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.reading import SuiteFile


@dataclass
class _Plan:
    """The selected tests of one suite: recipe name to metrics."""

    read: SuiteFile
    wanted: dict[str, list[str]] = field(default_factory=dict)


class Session:
    """Measures each suite once, when the first of its tests asks for a verdict.

    Args:
        stores: whether it writes files; a worker of pytest-xdist leaves that to its controller.
        name: of its files, where another process holds it.
        find: gives what stored sessions measured, for `--perf-affected`.
    """

    def __init__(
        self,
        settings: Settings,
        show: Progress,
        say: Progress,
        *,
        stores: bool = True,
        name: str = "",
        find: Lookup = lambda _: (),
    ) -> None:
        self.settings = settings
        self._find = find
        self._stores = stores
        self._show = show
        self._say = say
        # Alerts that a night stores beside the baselines are no change of the code.
        self._tree = WorkingTree(settings.root, without=settings.baselines / "alerts")
        self._base = BaseCode(settings, show)
        self._fetched: FetchedSuites | None = None
        self._open = contextlib.ExitStack()
        self._open.enter_context(kept(settings.share))
        self._fleet = Fleet(settings.fleet) if settings.fleet else None
        self._plans: dict[Path, _Plan] = {}
        self._done: dict[Path, dict[tuple[str, str], Verdict]] = {}
        self._records: list[SuiteRecord] = []
        self._files: set[str] = set()
        self._started = datetime.now(UTC)
        self._id = name
        self._crashes = 0
        self._clock = time.monotonic()
        self._machine: Machine | None = None
        self._environment: Environment | None = None
        self.complete = True

    # -- the plan --------------------------------------------------------------------------

    def read(self, file: Path) -> SuiteFile:
        """The suite file, read once."""
        if file not in self._plans:
            read = self._read(file)
            if read.suite is not None:
                suite = replace(read.suite, import_path=self.settings.import_path)
                read = self._apart(replace(read, suite=suite))
            self._plans[file] = _Plan(read)
        return self._plans[file].read

    def _read(self, file: Path) -> SuiteFile:
        try:
            return reading.read(file, self.settings.root)
        except Exception as error:  # noqa: BLE001 - an extension's, or ours: it ends this suite only
            return SuiteFile(file, None, (self._crash(error),))

    def _apart(self, read: SuiteFile) -> SuiteFile:
        """The suite file, refused when an earlier one has its name: baselines and history are kept
        by name.
        """
        suite = read.suite
        for plan in self._plans.values():
            other = plan.read.suite
            if suite is not None and other is not None and other.name == suite.name:
                first = short_path(other.file, self.settings.root)
                problem = PerfgateError(
                    f"its name {suite.name!r} is that of the suite in {first}, too: baselines and "
                    "history are kept by name",
                    where=f"{short_path(suite.file, self.settings.root)}, suite.name",
                    valid="a name of its own for each suite",
                    next_step='set [suite] name = "..." in one of them',
                )
                return SuiteFile(read.file, None, (problem,))
        return read

    def cases(self, file: Path) -> list[Case]:
        """Every test of a suite file."""
        read = self.read(file)
        if read.suite is None:
            return [Case(file, "", BROKEN)]
        cases = [Case(file, name, BROKEN) for name in read.problems]
        for recipe in read.suite.recipes.values():
            names = [budget.metric for budget in recipe.budgets] or [MEASURED]
            cases += [Case(file, recipe.name, name) for name in names]
        return cases

    def select(self, cases: Sequence[Case]) -> None:
        """Tells which tests will run; their recipes and those' references are measured."""
        for case in cases:
            self.read(case.file)
            self._plans[case.file].wanted.setdefault(case.recipe, []).append(case.metric)

    def covers(self, case: Case) -> tuple[str, ...]:
        """What is measured where a test's budget is; nothing for a recipe that cannot be read."""
        suite = self.read(case.file).suite
        recipe = suite.recipes.get(case.recipe) if suite is not None else None
        return () if suite is None or recipe is None else requirements.covers(suite, recipe)

    def required(self) -> dict[Path, tuple[str, ...]]:
        """What each suite file that was read says must be measured."""
        suites = {file: plan.read.suite for file, plan in self._plans.items()}
        return {file: suite.require for file, suite in suites.items() if suite and suite.require}

    @property
    def limits(self) -> int:
        """How many limits share the session's alpha: all whose uncertainty is known."""
        total = 0
        for plan in self._plans.values():
            if plan.read.suite is None:
                continue
            metrics = metrics_of(plan.read.suite.task, plan.read.suite.scopes)
            for name, wanted in plan.wanted.items():
                recipe = plan.read.suite.recipes.get(name)
                for budget in recipe.budgets if recipe else ():
                    rule = metrics[budget.metric].rule
                    if budget.metric in wanted and rule not in {Rule.EXACT, Rule.ONCE}:
                        total += len(budget.limits)
        return max(1, total)

    # -- verdicts --------------------------------------------------------------------------

    def verdict(self, case: Case) -> Verdict:
        """The verdict on one test; measures its suite first when that was not done yet.

        Raises:
            PerfgateError: the suite has no verdict on it.
        """
        if case.file not in self._done:
            plan = self._plans[case.file]
            if not plan.wanted:
                self.select([case])
            record = self._run_once(plan)
            self._records.append(record)
            self._done[case.file] = {
                (verdict.recipe, verdict.metric): verdict for verdict in record.verdicts
            }
            self._keep()
        verdict = self._done[case.file].get((case.recipe, case.metric))
        if verdict is None:
            raise PerfgateError(f"no verdict was reached on {case.recipe} {case.metric}")
        return verdict

    @property
    def id(self) -> str:
        """The name of the session's files: its start in UTC, unlike that of every other session
        whose files are there. A session that stores nothing takes no name from others.
        """
        if not self._id:
            folder = self.settings.reports if self._stores else None
            self._id = publish.claimed(folder, self._started)
        return self._id

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
        folder = short_path(case.file.parent, self.settings.root)
        for suite in self._records:
            for record in suite.recipes:
                if (suite.folder, record.name) == (folder, case.recipe):
                    return record
        return None

    def _run(self, plan: _Plan) -> SuiteRecord:
        """The suite, measured and judged."""
        suite = plan.read.suite
        if suite is None or not plan.wanted.keys() & suite.recipes.keys():
            # Nothing is to be measured, so that nobody is waited for.
            return unread_suite(plan.read, self.settings.root, plan.wanted)
        keep_out_of_git(self.settings.cache)
        with exclusive(self.settings.share, self.settings.wait, self._show):
            values = resolve_ranges(
                self._with_files(plan.read),
                plan.wanted,
                settings=self.settings,
                machine=self.machine,
                show=self._show,
                say=self._say,
                workplace=self._fleet,
            )
            inputs = self._around.inputs(values.suite)
            affected = self._around.affected(values.suite, plan.wanted, self._base.commit)
            record = self._measured(values, affected.wanted, inputs)
        record = with_unaffected(record, affected, inputs)
        broken = unread(plan.read, plan.wanted)
        return record.model_copy(
            update={
                "notes": record.notes + notes_on_untracked(self.settings.root, self._files),
                "recipes": record.recipes + tuple(failed for failed, _ in broken),
                "verdicts": record.verdicts + tuple(verdict for _, verdict in broken),
            }
        )

    def _measured(
        self, values: RangeOutcome, wanted: Mapping[str, list[str]], inputs: InputsNow
    ) -> SuiteRecord:
        """Those of the recipes that are wanted, measured and judged."""
        if not wanted.keys() & values.suite.recipes.keys():
            return unmeasured(values.suite, self.settings.root)
        run = SuiteRun(
            values,
            wanted,
            settings=self.settings,
            machine=self.machine,
            environment=self.environment,
            limits=self.limits,
            base=self._base.tree(self._open),
            inputs=inputs,
            show=self._show,
            say=self._say,
            workplace=self._fleet,
        )
        record = run.run()
        self._files |= run.files
        return record

    @property
    def _around(self) -> Surroundings:
        return Surroundings(
            self.settings,
            self.machine,
            self.environment,
            self._started.timestamp(),
            self._find,
            self._show,
        )

    def _with_files(self, read: SuiteFile) -> SuiteFile:
        """The suite with what it names in stores; before the first, that of all is fetched."""
        if self._fetched is None:
            wanted = [(plan.read, plan.wanted) for plan in self._plans.values()]
            self._fetched = FetchedSuites(wanted, self.settings.cache, self._show)
        return self._fetched.of(read)

    def _run_once(self, plan: _Plan) -> SuiteRecord:
        """The suite; one that failed as a whole is recorded, and not measured again for its next
        budget. An unexpected error is kept with its traceback in a file.
        """
        try:
            return self._run(plan)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this suite only
            failed = self._failure(error)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise  # the session ends with it
        except BaseException as error:  # noqa: BLE001 - what another plugin's alarm raises in our frames
            first = next(iter(str(error).splitlines()), type(error).__name__)
            failed = PerfgateError(
                f"another plugin interrupted the measurement: {first}",
                next_step="take its limit off perf tests: --perf-seconds and --perf-timeout limit "
                "how long they take",
            )
        return failed_suite(plan.read, self.settings.root, plan.wanted, failed)

    def _failure(self, error: Exception) -> PerfgateError:
        """An error in the words of a user."""
        if isinstance(error, PerfgateError):
            return error
        if is_of_the_machine(error):
            problem, next_step = problem_of(error)
            return PerfgateError(problem, next_step=next_step)
        return self._crash(error)

    def _crash(self, error: Exception) -> PerfgateError:
        """An error that nobody expected, with its traceback in a file."""
        self._crashes += 1
        number = f"_{self._crashes}" if self._crashes > 1 else ""
        file = self.settings.cache / "crashes" / f"{self.id}{number}.txt"
        place = f"its traceback is in {short_path(file, self.settings.root)}"
        try:
            keep_out_of_git(self.settings.cache)
            file.parent.mkdir(exist_ok=True)
            put(file, without_secrets(encodable("".join(traceback.format_exception(error)))))
        except OSError as unwritten:
            place = f"its traceback could not be written: {unwritten.strerror}"
        first = next(iter(str(error).splitlines()), "")
        return PerfgateError(
            f"unexpected {type(error).__name__}: {first} ({place})",
            next_step="report it to the project, or to the author of the extension that it names",
        )

    def _keep(self) -> None:
        """Stores the suites so far: they outlive whatever happens to this process. A folder that
        cannot be written is reported at the end, when the whole session is stored.
        """
        record = self.record()
        if self._stores and record is not None:
            with contextlib.suppress(ReportError):
                publish.store(record.model_copy(update={"complete": False}), self.settings.reports)

    # -- the end ---------------------------------------------------------------------------

    def close(self) -> None:
        """Removes what the session laid beside the working tree, and leaves its share."""
        if self._stores and self._id:
            publish.release(self.settings.reports, self._id)
        self._open.close()

    @property
    def measured(self) -> int:
        """The number of suites that have been measured."""
        return len(self._records)

    def record(self) -> SessionRecord | None:
        """All that was measured so far; None when no suite was."""
        if not self._records:
            return None
        settings = self.settings
        tree = self._tree.state(self._files)
        return SessionRecord(
            id=self.id,
            started=self._started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._clock, 1),
            command=settings.command,
            commit=tree.commit,
            dirty=tree.dirty,
            changed=tree.changed,
            machine=self.machine,
            environment=self.environment,
            settings={
                "alpha": settings.alpha,
                "limits": self.limits,
                "seconds": settings.seconds,
                "strict": settings.strict,
                **({"allow_skip": list(settings.allow_skip)} if settings.allow_skip else {}),
                "rounds": settings.rounds,
                **({"base": self._base.commit.name} if self._base.commit else {}),
            },
            complete=self.complete,
            suites=tuple(self._records),
        )
