"""What the plugin does with `--perf`: tests from suites, verdicts into outcomes, the end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import pytest_perfgate
from pytest_perfgate.baselines.update import conclude
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.history.append import Appended, appended
from pytest_perfgate.machine import host_share
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import FIXTURE, OFF, SUITE_FILE, Settings
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report import exports, junit_properties, terminal
from pytest_perfgate.report.text import WIDTH
from pytest_perfgate.session.session import BROKEN, Case, Session
from pytest_perfgate.suite.metrics import metrics_of_session

_OUTPUT = "perfgate"  # what an xdist worker sends to its controller


@dataclass(frozen=True)
class BudgetCheck:
    """What a perf test receives: the verdict on its budget."""

    verdict: Verdict
    record: RecipeRecord | None
    strict: bool

    def check(self) -> None:
        """Passes when the budget is kept, fails when it is broken, with a table that says why.

        INCONCLUSIVE and NO BASELINE are shown as such and do not fail, unless `--perf-strict`.
        """
        __tracebackhide__ = True
        verdict = self.verdict
        if verdict.status is Status.PASS:
            return
        text = terminal.explain(verdict, self.record.failure if self.record else None)
        soft = verdict.status in {Status.INCONCLUSIVE, Status.NO_BASELINE, Status.SKIPPED}
        if soft and not (self.strict and verdict.status is not Status.SKIPPED):
            pytest.skip(f"{verdict.status.value}: {verdict.reason}")
        pytest.fail(text, pytrace=False)


class PerfHooks:
    """The hooks of one pytest run with `--perf`."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        try:
            self._session = Session(_settings(config), self._show, self._say)
        except PerfgateError as error:
            raise pytest.UsageError(str(error)) from None
        self._received: list[SessionRecord] = []
        self._record: SessionRecord | None = None
        self._problems: tuple[PerfgateError, ...] = ()
        self._report: Path | None = None
        self._told = exports.Told()
        self._history = Appended()
        self._shown = 0

    # -- collection ------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per recipe and budget of the suite file beside the module."""
        if FIXTURE not in metafunc.fixturenames:
            return
        file = Path(metafunc.definition.path).parent / SUITE_FILE
        cases = self._session.cases(file)
        metafunc.parametrize(
            FIXTURE,
            [
                pytest.param(
                    case,
                    id=f"{case.recipe or SUITE_FILE}-{case.metric}",
                    marks=pytest.mark.perf,
                )
                for case in cases
            ],
            indirect=True,
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tells the session which budgets were selected, before the first is measured."""
        cases = []
        for item in session.items:
            callspec = getattr(item, "callspec", None)
            if callspec is not None and isinstance(callspec.params.get(FIXTURE), Case):
                cases.append(callspec.params[FIXTURE])
        self._session.select(cases)

    def pytest_report_header(self) -> str:
        """Where measurements and baselines belong to."""
        return f"perfgate: machine {self._session.machine.id}"

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
        """The verdict for a test; what could not be measured is an error at its setup."""
        __tracebackhide__ = True
        case: Case = request.param
        try:
            with self._uncaptured():
                verdict = self._session.verdict(case)
        except PerfgateError as error:
            self._tell(request.node, _refused(case, error))
            pytest.fail(str(error), pytrace=False)
        record = self._session.recipe(case)
        self._tell(request.node, verdict)
        if verdict.status is Status.SKIPPED:
            step = f" ({verdict.next_step})" if verdict.next_step else ""
            pytest.skip(f"{verdict.reason}{step}")
        if verdict.status is Status.ERROR:
            pytest.fail(
                terminal.explain(verdict, record.failure if record else None), pytrace=False
            )
        return BudgetCheck(verdict, record, self._session.settings.strict)

    def _tell(self, item: pytest.Item, verdict: Verdict) -> None:
        """The verdict as properties of the test, for JUnit and other readers of reports."""
        page = self._session.settings.reports / f"{self._session.id}.html"
        item.user_properties += junit_properties.of(verdict, short_path(page, Path.cwd()))

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, Any] | None:
        """INCONCLUSIVE and NO BASELINE by their own words, not as "skipped"."""
        if not isinstance(report, pytest.TestReport) or report.when != "call":
            return None
        word = dict(report.user_properties).get(junit_properties.VERDICT)
        if report.skipped and word in {Status.INCONCLUSIVE.value, Status.NO_BASELINE.value}:
            letter = "I" if word == Status.INCONCLUSIVE.value else "N"
            return str(word).lower(), letter, (str(word), {"yellow": True})
        return None

    # -- the end ---------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:  # noqa: ARG002 - xdist's signature
        """Takes what a worker measured."""
        text = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if text:
            self._received.append(SessionRecord.model_validate_json(text))

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
        if self._is_worker:
            if record is not None:
                output = self._config.workeroutput  # type: ignore[attr-defined] # xdist's
                output[_OUTPUT] = record.model_dump_json()
            return
        record = _joined(record, self._received)
        if record is None:
            return
        settings = self._session.settings
        self._record, self._problems = conclude(record, settings, datetime.now(UTC))
        self._write_report(self._record)
        self._told = exports.write(
            self._record,
            metrics_of_session(self._record),
            self._session.settings,
            self._report,
        )
        self._problems += self._told.problems
        self._history = appended(self._record, settings)
        from pytest_perfgate.report import pytest_benchmark

        pytest_benchmark.export(self._config, self._record)
        if self._problems and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_report(self, record: SessionRecord) -> None:
        from pytest_perfgate.report import publish

        try:
            self._report = publish.write(
                record, self._session.settings.reports, metrics_of_session(record)
            )
        except PerfgateError as error:
            self._problems += (error,)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The verdicts, worst first, and where the report is."""
        if self._record is None:
            return
        writer = terminalreporter
        writer.section("perfgate")
        terminal.write(
            self._record,
            writer.write_line,
            metrics=metrics_of_session(self._record),
            verbosity=self._config.get_verbosity(),
            update=self._session.settings.update,
        )
        for problem in self._problems:
            writer.write_line(str(problem), red=True)
        if self._report is not None:
            writer.write_line(f"report: {short_path(self._report, Path.cwd())}")
        for line in (*self._told.lines, *self._history.lines):
            writer.write_line(line)
        for warning in (*self._told.warnings, *self._history.warnings):
            writer.write_line(warning, yellow=True)

    # -- showing progress ------------------------------------------------------------------

    @contextlib.contextmanager
    def _uncaptured(self) -> Iterator[None]:
        manager = self._config.pluginmanager.get_plugin("capturemanager")
        with manager.global_and_fixture_disabled() if manager else contextlib.nullcontext():
            yield
            self._clear()

    def _show(self, text: str) -> None:
        """One line that is written over, on a terminal; nothing elsewhere."""
        if self._is_worker or not sys.stderr.isatty() or self._config.get_verbosity() < 0:
            return
        line = text[:99]
        sys.stderr.write("\r" + line.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(line)

    def _say(self, text: str) -> None:
        """A line that stays, in the log of a CI run too."""
        self._clear()
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and not self._is_worker and self._config.get_verbosity() >= 0:
            reporter.ensure_newline()
            for line in textwrap.wrap(text, WIDTH, subsequent_indent="  "):
                reporter.write_line(line)

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0


def _settings(config: pytest.Config) -> Settings:
    option = config.getoption
    root = config.rootpath
    ci = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
    if option("--perf-update") and ci:
        raise pytest.UsageError(
            "--perf-update is refused in CI (the variable CI is set): baselines are changed by a "
            "person and reviewed. Run it on the machine, and commit baselines/"
        )
    alpha = option("--perf-alpha")
    if not 0 < alpha < 0.5:
        raise pytest.UsageError(f"--perf-alpha {alpha}: valid: more than 0, less than 0.5")
    for name in ("--perf-seconds", "--perf-timeout"):
        if option(name) <= 0:
            raise pytest.UsageError(f"{name} {option(name)}: valid: more than 0")
    return Settings(
        root=root,
        alpha=alpha,
        seconds=option("--perf-seconds"),
        strict=option("--perf-strict"),
        update=option("--perf-update"),
        reason=option("--perf-reason").strip(),
        reports=root / option("--perf-reports"),
        baselines=root / option("--perf-baselines"),
        cache=root / option("--perf-cache"),
        timeout=option("--perf-timeout"),
        wait=option("--perf-wait"),
        ci=ci,
        command=shlex.join(["pytest", *config.invocation_params.args]),
        history=None
        if option("--perf-history") == OFF
        else root / (option("--perf-history") or Path(option("--perf-reports"), "history")),
        base=option("--perf-base"),
        base_python=_interpreter(option("--perf-base-python"), option("--perf-base")),
        markdown=_file(root, option("--perf-markdown"), "--perf-markdown"),
        openmetrics=_file(root, option("--perf-openmetrics"), "--perf-openmetrics"),
        step_summary=_step_summary(option("--perf-step-summary")),
        profile=option("--perf-profile"),
        mlflow=_mlflow(option("--perf-mlflow")),
        share=_share(config),
        search=option("--perf-search"),
    )


def _share(config: pytest.Config) -> host_share.Share | None:
    """What the session has for itself, checked before any long work."""
    option = config.getoption
    asked = host_share.read(option(host_share.CORES), option(host_share.GPUS))
    if not option(host_share.SPREAD):
        return asked
    worker = getattr(config, "workerinput", {})
    count = int(worker.get("workercount") or option("numprocesses", None) or 0)
    return host_share.spread(asked or host_share.whole(), count, worker.get("workerid", ""))


def _file(root: Path, text: str, name: str) -> Path | None:
    """A file that is to be written at the end, checked before any long work."""
    if not text:
        return None
    file = root / text
    if file.is_dir():
        raise pytest.UsageError(f"{name} {text}: it is a folder; valid: the path of a file")
    above = next(each for each in file.parents if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise pytest.UsageError(f"{name} {text}: nothing can be written into {above}")
    return file


def _mlflow(uri: str) -> str:
    """The tracking store, checked before any long work."""
    if uri and importlib.util.find_spec("mlflow") is None:
        raise pytest.UsageError(
            f"--perf-mlflow {uri}: mlflow is not installed. python -m pip install "
            "'pytest-perfgate[mlflow]'"
        )
    if urlsplit(uri).password:
        raise pytest.UsageError(
            "--perf-mlflow: no password belongs there, the command is kept in the report. Valid: "
            "the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return uri


def _step_summary(wanted: str) -> Path | None:
    text = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return Path(text) if text and wanted == "auto" else None


def _interpreter(python: str, base: str) -> str:
    """The interpreter of the base, checked before any long work."""
    if not python:
        return ""
    where = f"--perf-base-python {python}"
    if not base:
        raise pytest.UsageError(f"{where}: it interprets the code of --perf-base, which is not set")
    found = shutil.which(python)
    if found is None:
        raise pytest.UsageError(f"{where}: there is no such program")
    asked = "import pytest_perfgate; print(pytest_perfgate.__version__)"
    done = subprocess.run([found, "-P", "-c", asked], capture_output=True, text=True, check=False)
    wanted = pytest_perfgate.__version__
    if done.returncode or done.stdout.strip() != wanted:
        has = done.stdout.strip() or "none"
        raise pytest.UsageError(
            f"{where}: it needs pytest-perfgate {wanted}, and has {has}. Install it there: "
            f"{found} -m pip install pytest-perfgate=={wanted}"
        )
    return found


def _refused(case: Case, error: PerfgateError) -> Verdict:
    return Verdict(
        recipe=case.recipe,
        metric=case.metric or BROKEN,
        status=Status.ERROR,
        unit="",
        reason=error.problem,
        next_step=error.next_step,
    )


def _joined(own: SessionRecord | None, received: list[SessionRecord]) -> SessionRecord | None:
    """One record of what this process and its workers measured."""
    every = ([own] if own else []) + received
    if not every:
        return None
    suites = tuple(suite for record in every for suite in record.suites)
    return every[0].model_copy(
        update={"suites": suites, "complete": all(record.complete for record in every)}
    )
