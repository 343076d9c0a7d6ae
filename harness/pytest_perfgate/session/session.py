"""One session: plan, measure, judge, and at the end report and changes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.files import short_path
from pytest_perfgate.fleet.fleet import Fleet
from pytest_perfgate.machine.cache_folders import keep_out_of_git
from pytest_perfgate.machine.fingerprint import Environment, Machine, this_environment, this_machine
from pytest_perfgate.machine.host_share import kept
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.worker_environment import allocator
from pytest_perfgate.records.earlier import Lookup
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.report import publish
from pytest_perfgate.search.run import RangeOutcome, resolve_ranges
from pytest_perfgate.session.base_code import BaseCode
from pytest_perfgate.session.case import Case
from pytest_perfgate.session.crashes import Crashes
from pytest_perfgate.session.errand import NONE, Errand
from pytest_perfgate.session.failed_suite import (
    failed_suite,
    suite_without_machine,
    unread,
    unread_suite,
)
from pytest_perfgate.session.fetched_suites import FetchedSuites
from pytest_perfgate.session.inputs_now import InputsNow
from pytest_perfgate.session.measured_suite import Surroundings, unmeasured, with_unaffected
from pytest_perfgate.session.on_target import measured_on
from pytest_perfgate.session.places import Places
from pytest_perfgate.session.plan import Plan, Wanted, cases_of
from pytest_perfgate.session.suite_run import SuiteRun
from pytest_perfgate.session.working_tree import WorkingTree, notes_on_untracked
from pytest_perfgate.suite import reading, requirements
from pytest_perfgate.suite.reading import SuiteFile
from pytest_perfgate.suite.targets_file import Target
from pytest_perfgate.targets.ssh import NoMachine


class Session:
    """Measures each suite once, when the first of its tests asks for a verdict.

    Args:
        stores: whether it writes files; a worker of pytest-xdist leaves that to its controller.
        name: of its files, where another process holds it.
        find: gives what stored sessions measured, for `--perf-affected`.
        errand: what a session of another machine has this one measure.
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
        errand: Errand = NONE,
    ) -> None:
        self.settings = settings
        self._find = find
        self._stores = stores
        self._show = show
        self._say = say
        # Alerts that a night stores beside the baselines are no change of the code.
        self._tree = WorkingTree(settings.root, without=settings.baselines / "alerts")
        self._base = BaseCode(settings, show, errand.base)
        self._fetched: FetchedSuites | None = None
        self._open = contextlib.ExitStack()
        self._open.enter_context(kept(settings.share))
        self._fleet = Fleet(settings.fleet) if settings.fleet else None
        self._plans: dict[Path, Plan] = {}
        self._done: dict[tuple[Path, str], dict[tuple[str, str], Verdict]] = {}
        self._records: list[SuiteRecord] = []
        self._files: set[str] = set()
        self._started = datetime.now(UTC)
        self._id = name
        self._crashes = Crashes(settings.cache, settings.root, lambda: self.id)
        self._places = Places(settings, lambda: self.machine, errand.target)
        self._errand = errand
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
                suite = self._errand.begun(suite)
                read = self._places.checked(self._apart(replace(read, suite=suite)))
            self._plans[file] = Plan(read)
        return self._plans[file].read

    def _read(self, file: Path) -> SuiteFile:
        try:
            return reading.read(file, self.settings.root)
        except Exception as error:  # noqa: BLE001 - an extension's, or ours: it ends this suite only
            return SuiteFile(file, None, (self._crashes.crash(error),))

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
        return cases_of(self.read(file), file)

    def select(self, cases: Sequence[Case]) -> None:
        """Tells which tests will run; their recipes and those' references are measured."""
        for case in cases:
            self.read(case.file)
            self._plans[case.file].select(case)

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
        return max(1, sum(plan.limits for plan in self._plans.values()))

    # -- verdicts --------------------------------------------------------------------------

    def verdict(self, case: Case) -> Verdict:
        """The verdict on one test; measures its suite first when that was not done yet.

        Raises:
            PerfgateError: the suite has no verdict on it.
        """
        place = case.file, case.target
        if place not in self._done:
            plan = self._plans[case.file]
            if case.target not in plan.wanted:
                self.select([case])
            record = self._run_once(plan, case.target)
            self._records.append(record)
            self._done[place] = {
                (verdict.recipe, verdict.metric): verdict for verdict in record.verdicts
            }
            self._keep()
        verdict = self._done[place].get((case.recipe, case.metric))
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

    def measured_at(self, case: Case) -> SuiteRecord | None:
        """What was measured of a test's suite on its target, None before that was."""
        place = short_path(case.file.parent, self.settings.root), case.target
        return next((one for one in self._records if (one.folder, one.target) == place), None)

    def machine_of(self, case: Case) -> Machine | None:
        """The machine of a test: this one, or where its suite was measured; None: not known."""
        if self._places.is_here(case.target):
            return self.machine
        suite = self.measured_at(case)
        return suite.machine if suite is not None else None

    def _run(self, plan: Plan, target: str) -> SuiteRecord:
        """The suite, measured and judged."""
        suite, wanted = plan.read.suite, plan.wanted[target]
        if suite is None or not wanted.keys() & suite.recipes.keys():
            # Nothing is to be measured, so that nobody is waited for.
            return unread_suite(plan.read, self.settings.root, wanted)
        if not self._places.is_here(target):
            if (host := self._places.over_ssh(target)) is not None:
                return self._run_on(host, plan.read, suite, wanted)
            missing = self._places.missing(target)
            return suite_without_machine(plan.read, self.settings.root, wanted, missing)
        keep_out_of_git(self.settings.cache)
        with exclusive(self.settings.share, self.settings.wait, self._show):
            read = self._with_files(plan.read)
            own = replace(read.suite, target=target) if read.suite is not None else None
            values = resolve_ranges(
                replace(read, suite=own),
                wanted,
                settings=self.settings,
                machine=self.machine,
                show=self._show,
                say=self._say,
                workplace=self._fleet,
            )
            inputs = self._around.inputs(values.suite)
            affected = self._around.affected(values.suite, wanted, self._base.commit)
            record = self._measured(values, affected.wanted, inputs)
        record = with_unaffected(record, affected, inputs)
        broken = unread(plan.read, wanted)
        return record.model_copy(
            update={
                "notes": record.notes + notes_on_untracked(self.settings.root, self._files),
                "recipes": record.recipes + tuple(failed for failed, _ in broken),
                "verdicts": record.verdicts + tuple(verdict for _, verdict in broken),
            }
        )

    def _run_on(self, host: Target, read: SuiteFile, suite: Suite, wanted: Wanted) -> SuiteRecord:
        """The suite, measured and judged on another host."""
        keep_out_of_git(self.settings.cache)
        given = self.settings, self._base.commit, self.limits, self._show, self._say, self._fleet
        record, files = measured_on(host, read, suite, wanted, *given)
        self._files |= files
        notes = notes_on_untracked(self.settings.root, set(files))
        return record.model_copy(update={"notes": record.notes + notes})

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
            wanted = [
                (plan.read, recipes)
                for plan in self._plans.values()
                for target, recipes in plan.wanted.items()
                if plan.read.suite is None or self._places.is_here(target)
            ]
            self._fetched = FetchedSuites(wanted, self.settings.cache, self._show)
        return self._fetched.of(read)

    def _run_once(self, plan: Plan, target: str) -> SuiteRecord:
        """The suite on a target; one that failed as a whole is recorded, and not measured again for
        its next budget. An unexpected error is kept with its traceback in a file.
        """
        record = self._run_or_fail(plan, target)
        if not target:
            return record
        here = {"machine": self.machine, "environment": self.environment}
        known = here if self._places.is_here(target) else {}
        return record.model_copy(update={"target": target, **known})

    def _run_or_fail(self, plan: Plan, target: str) -> SuiteRecord:
        try:
            return self._run(plan, target)
        except NoMachine as absent:
            wanted = plan.wanted[target]
            return suite_without_machine(plan.read, self.settings.root, wanted, absent)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this suite only
            failed = self._crashes.failure(error)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise  # the session ends with it
        except BaseException as error:  # noqa: BLE001 - what another plugin's alarm raises in our frames
            first = next(iter(str(error).splitlines()), type(error).__name__)
            failed = PerfgateError(
                f"another plugin interrupted the measurement: {first}",
                next_step="take its limit off perf tests: --perf-seconds and --perf-timeout limit "
                "how long they take",
            )
        return failed_suite(plan.read, self.settings.root, plan.wanted[target], failed)

    def _keep(self) -> None:
        """Stores the suites so far: they outlive whatever happens to this process. A folder that
        cannot be written is reported at the end, when the whole session is stored.
        """
        record = self.record()
        if self._stores and record is not None:
            with contextlib.suppress(ReportError):
                publish.store(record.model_copy(update={"complete": False}), self.settings.reports)

    # -- the end ---------------------------------------------------------------------------

    @property
    def files(self) -> frozenset[str]:
        """The project's files that what was measured rests on."""
        return frozenset(self._files)

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
