"""What the plugin does with `--perf`: its hooks, which delegate."""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_perfgate.building.folder_digests import IGNORED
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.history.earlier import finder
from pytest_perfgate.machine import host_share
from pytest_perfgate.plugin import ending, project_root
from pytest_perfgate.plugin.exit_code import Failures
from pytest_perfgate.plugin.lines import lines_of
from pytest_perfgate.plugin.options import FIXTURE
from pytest_perfgate.plugin.outcome import BudgetCheck, settle
from pytest_perfgate.plugin.progress import Progress
from pytest_perfgate.plugin.settings import settings_of
from pytest_perfgate.plugin.stopping import as_failure
from pytest_perfgate.plugin.tally import Tally
from pytest_perfgate.plugin.xdist_records import Inbox, Outbox, name_of, tell_name
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import SUITE_FILE
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report import junit_properties
from pytest_perfgate.report.answer import answer
from pytest_perfgate.runtimes import onnxruntime_build
from pytest_perfgate.session.case import Case
from pytest_perfgate.session.failed_suite import BROKEN, error_verdict
from pytest_perfgate.session.session import Session

_RECORD, _TALLY = "perfgate", "perfgate_tally"  # what an xdist worker sends to its controller
_LETTERS = {
    Status.INCONCLUSIVE.value: "I",
    Status.NO_BASELINE.value: "N",
    Status.NO_MACHINE.value: "M",
    Status.UNAFFECTED.value: "U",
}


class PerfHooks:
    """The hooks of one pytest run with `--perf`."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        self._progress = Progress(config)
        project_root.check(config)
        try:
            settings = settings_of(config)
            self._session = Session(
                settings,
                self._progress.show,
                self._progress.say,
                stores=not self._is_worker,
                name=name_of(config),
                find=finder(settings),
            )
        except PerfgateError as error:
            raise pytest.UsageError(str(error)) from None
        self._inbox, self._outbox = Inbox(self._session), Outbox()
        self._tally = Tally()
        self._failures = Failures()
        self._ending: ending.Ending | None = None
        self._absent: list[PerfgateError] = []
        self._unreported = False
        self._is_interrupted = False

    # -- collection ------------------------------------------------------------------------

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """One test per recipe and budget of the suite file beside the module."""
        file = Path(metafunc.definition.path).parent / SUITE_FILE
        self._tally.test(self._place(file))
        cases = self._session.cases(file)
        parameters = [pytest.param(case, id=case.name, marks=pytest.mark.perf) for case in cases]
        metafunc.parametrize(FIXTURE, parameters, indirect=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> None:
        """Notes the suite file of a folder that pytest goes through, which is each folder below the
        given paths that no option leaves out: a walk of its own would do that once more.
        """
        # pytest asks for the folders that a given path lies in, too.
        above = (path, *path.parents)
        start = next((folder for folder in above if parent.session.isinitpath(folder)), None)
        if start is None or not (path / SUITE_FILE).is_file():
            return
        parts = path.relative_to(start).parts
        written = (self._session.settings.cache, self._session.settings.reports)
        if (
            IGNORED.isdisjoint(parts)
            and not any(part.startswith(".") for part in parts)
            and not any(path.is_relative_to(folder) for folder in written)
        ):
            self._tally.see(self._place(path / SUITE_FILE))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A test module that cannot be imported is there, and pytest says what is wrong with it."""
        if report.failed:
            module = self._config.rootpath / report.nodeid.partition("::")[0]
            self._tally.test(self._place(module.parent / SUITE_FILE))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """The error of a suite file stays whatever `-k` selects: none of its recipes has a name."""
        self._tally.collect(item.nodeid for item in items if _case(item))
        keyword = config.option.keyword
        unread = [item for item in items if (case := _case(item)) and not case.recipe]
        if not keyword or not unread:
            return (yield)
        items[:] = [item for item in items if item not in unread]
        yield
        config.option.keyword = ""
        try:  # `-m` selects errors as it selects budgets
            plugin: Any = config.pluginmanager.get_plugin("mark")
            plugin.pytest_collection_modifyitems(unread, config)
        finally:
            config.option.keyword = keyword
        items[:0] = unread

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tells the session which budgets were selected, before the first is measured."""
        cases = {item.nodeid: case for item in session.items if (case := _case(item))}
        self._session.select(list(cases.values()))
        for test, case in cases.items():
            self._tally.select(
                test,
                case.name,
                self._place(case.file),
                self._session.covers(case),
                self._features(case),
            )
        for file, words in self._session.required().items():
            self._tally.require(self._place(file), words)

    def _features(self, case: Case) -> tuple[str, ...]:
        """What the CPU of a test's machine has, () where that is not known."""
        machine = self._session.machine_of(case)
        return machine.features if machine is not None else ()

    def _place(self, file: Path) -> str:
        return short_path(file, self._config.rootpath)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Counts budgets that will not be measured."""
        self._tally.deselect(item.nodeid for item in items if _case(item))

    def pytest_report_header(self) -> list[str]:
        """The machine that measurements belong to, and packages that exclude each other."""
        lines = [f"perfgate: machine {self._session.machine.id}"]
        if problem := onnxruntime_build.conflict():
            lines.append(f"perfgate: {problem}")
        return lines

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """All perf tests go to one worker, whatever spreads the others, or with `--perf-spread`
        each suite to one; `each` is left alone.
        """
        if config.getoption("dist", "no") == "each":
            return None
        from pytest_perfgate.plugin.scheduling import OneWorkerScheduling, SpreadScheduling

        spread = config.getoption(host_share.SPREAD)
        return (SpreadScheduling if spread else OneWorkerScheduling)(config, log)

    # -- one test --------------------------------------------------------------------------

    def check(self, request: pytest.FixtureRequest) -> BudgetCheck:
        """The verdict for a test; a budget that could not be measured is an error at its setup."""
        __tracebackhide__ = True
        case: Case = request.param
        # Of `faulthandler_timeout`: the first test of a suite measures all of it, which may take
        # longer than a test, and `faulthandler_exit_on_timeout` ends the process.
        faulthandler.cancel_dump_traceback_later()
        try:
            with self._progress.uncaptured():
                verdict = self._session.verdict(case)
        except PerfgateError as error:
            failed = error_verdict(case.recipe, case.metric or BROKEN, "", error)
            self._attach(request.node, case, failed)
            pytest.fail(str(error), pytrace=False)
        settings, suite = self._session.settings, self._session.measured_at(case)
        records = suite.recipes if suite is not None else ()
        record = next((one for one in records if one.name == case.recipe), None)
        self._attach(request.node, case, verdict)
        settle(
            verdict,
            record,
            name=case.name,
            strict=settings.strict,
            allowed=settings.allow_skip,
            target=case.target,
        )
        return BudgetCheck(verdict, record, settings.strict)

    def _attach(self, item: pytest.Item, case: Case, verdict: Verdict) -> None:
        """The verdict as properties of the test, for JUnit and other readers of reports."""
        self._tally.settle(item.nodeid, verdict, self._features(case))
        page = self._session.settings.reports / f"{self._session.id}.html"
        machine = self._session.machine_of(case) if case.target else None
        properties = junit_properties.of(
            verdict, short_path(page, Path.cwd()), case.target, machine.id if machine else ""
        )
        names = {name for name, _ in properties}
        # A plugin that runs failed tests again asks for the same verdict: it is not told twice.
        others = [(name, value) for name, value in item.user_properties if name not in names]
        item.user_properties[:] = [*others, *properties]

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item) -> bool | None:
        """Keeps timers of pytest-timeout off perf tests: the first one of a suite measures all of
        it, within limits of its own. Any answer means that a timer is set.
        """
        return True if _case(item) else None

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, Any] | None:
        """Of INCONCLUSIVE, NO BASELINE, NO MACHINE and UNAFFECTED their words, not "skipped"."""
        if not isinstance(report, pytest.TestReport) or report.when == "teardown":
            return None
        word = dict(report.user_properties).get(junit_properties.VERDICT)
        if report.skipped and word in _LETTERS:
            return str(word).lower(), _LETTERS[word], (str(word), {"yellow": True})
        return None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """In a worker of pytest-xdist: after each suite the report of a test brings its results."""
        report = yield
        if self._is_worker and _case(item):
            self._outbox.attach(report, self._session)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts failures that are no broken budgets, and stores what a worker has measured."""
        if not self._is_worker:
            self._inbox.hear(report)
        self._failures.add(report)

    # -- the end ---------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Workers name the same page in their tests' properties."""
        tell_name(node, self._session)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:  # noqa: ARG002 - xdist's signature
        """Takes what a worker measured."""
        output = getattr(node, "workeroutput", {})
        self._is_interrupted |= output.get("exitstatus") == pytest.ExitCode.INTERRUPTED
        if _TALLY in output:
            self._tally.merge(output[_TALLY])
        if _RECORD in output:
            self._inbox.take(node, output[_RECORD])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """SIGTERM and SIGHUP end a session as Ctrl-C does: with its report."""
        interrupts = self._progress.interrupts
        with interrupts.heard(), as_failure(session, lambda: self._is_interrupted):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """Writes the report, and the baselines when asked for; before pytest-benchmark saves."""
        try:
            self._finish(session, exitstatus)
        finally:
            self._session.close()
        yield

    def _finish(self, session: pytest.Session, exitstatus: int) -> None:
        interrupted = exitstatus in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR}
        self._session.complete = not interrupted
        record = self._session.record()
        self._reach_measured(session.items)
        if self._is_worker:
            output = self._config.workeroutput  # type: ignore[attr-defined] # xdist's
            output[_TALLY] = self._tally.dump()
            if record is not None:
                output[_RECORD] = record.model_dump_json()
            return
        problems: list[PerfgateError] = []
        self._unreported = interrupted and self._tally.has_selected
        if not interrupted and not self._config.getoption("collectonly"):
            problems += self._absences(session)
        record = self._inbox.joined(record)
        if record is not None:
            notes = tuple(str(one) for one in self._absent if one not in problems)
            record = record.model_copy(update={"absent": tuple(map(str, problems)), "notes": notes})
            self._ending = ending.write(record, self._session.settings)
            if not interrupted:
                self._ending = ending.with_confirmed(
                    self._ending, self._session.settings, self._progress.show
                )
            ending.benchmarks(self._config, self._ending)
            problems += self._ending.problems
        junit_properties.head(self._config, self._answer(record), map(str, self._absent))
        verdicts = [one for suite in record.suites for one in suite.verdicts] if record else []
        session.exitstatus = self._failures.exit_code(
            session,
            exitstatus,
            len(problems),
            strict=self._session.settings.strict,
            broken=sum(one.status is Status.FAIL for one in verdicts),
        )

    def _answer(self, record: SessionRecord | None) -> str:
        """What every output of the session begins with."""
        return answer(record) if record is not None else f"{self._tally.summary}."

    def _absences(self, session: pytest.Session) -> list[PerfgateError]:
        """Absences and verdicts without effect that turn the session red; the others are shown."""
        settings = self._session.settings
        stopped = bool(session.shouldfail or session.shouldstop)
        if stopped:
            self._tally.settle_reached()
        absences = list(self._tally.absences(stopped=stopped))
        unmet = self._tally.unmet(settings.require)
        # `--lf` collects no module without a failure.
        untested = [] if self._config.getoption("lf", False) else self._tally.without_test()
        ignored, expected = self._failures.unheeded(strict=settings.strict)
        self._absent = [
            *(*ignored, *expected, *absences, *untested),
            *(*self._tally.unmet_of_suites(), *unmet),
        ]
        # What a stop left out is no choice of the project's: a page must not call it whole.
        return (
            self._absent if settings.strict else [*ignored, *(absences if stopped else ()), *unmet]
        )

    def _reach_measured(self, items: Sequence[pytest.Item]) -> None:
        """Budgets whose tests did not run, though their suite was measured to its end. A controller
        of pytest-xdist has no items.
        """
        for item in items:
            case = _case(item)
            if case is not None and self._session.measured_at(case) is not None:
                with contextlib.suppress(PerfgateError):  # no verdict was reached
                    verdict = self._session.verdict(case)
                    self._tally.reach(item.nodeid, verdict, self._features(case))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The verdicts, worst first, and where the report is."""
        unreported = self._unreported and self._ending is None
        if self._ending is None and not self._absent and not unreported:
            return
        terminalreporter.section("perfgate")
        write = lines_of(terminalreporter)
        if unreported:
            write(_UNREPORTED, yellow=True)
        for absence in self._absent:
            write(str(absence), yellow=True)
        if self._ending is not None:
            ending.show(
                self._ending,
                write,
                verbosity=self._config.get_verbosity(),
                update=self._session.settings.update,
            )


_UNREPORTED = (
    "interrupted before a suite was measured: there is no report. What was built is in the cache, "
    "and the next session goes on with it"
)


def _case(item: pytest.Item) -> Case | None:
    """The budget of a perf test, None for other tests."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get(FIXTURE) if callspec is not None else None
    return case if isinstance(case, Case) else None
