"""The pytest plugin's hooks, thin: nothing but pytest is imported until `--perf` asks for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_perfgate.records.settings import FIXTURE

if TYPE_CHECKING:
    from pytest_perfgate.plugin.hooks import BudgetCheck

NAME = "perfgate-session"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options; `pytest --help` shows them in a group of their own."""
    group = parser.getgroup("perfgate", "performance gate for optimised vision models")
    add = group.addoption
    add("--perf", action="store_true", help="build, measure and judge the recipes of the suites")
    add(
        "--perf-strict",
        action="store_true",
        help="INCONCLUSIVE and NO BASELINE fail too (for merge gates)",
    )
    add(
        "--perf-update",
        action="store_true",
        help="write the proposed baselines at the end (refused in CI)",
    )
    add(
        "--perf-search",
        action="store_true",
        help="search the values of recipes that have ranges, or go on where a search was ended; "
        "without it, only what a finished search found is used",
    )
    add("--perf-reason", metavar="TEXT", default="", help="why a baseline may become worse")
    add(
        "--perf-seconds",
        metavar="SECONDS",
        type=float,
        default=120.0,
        help="wall time for measuring one suite, builds not counted (default: 120)",
    )
    add(
        "--perf-alpha",
        metavar="P",
        type=float,
        default=0.01,
        help="chance that any budget of an unchanged session turns red (default: 0.01)",
    )
    add(
        "--perf-base",
        metavar="REF",
        default="",
        help="measure the code of this git ref too, in the same launches; `regression` budgets are "
        "then judged against it",
    )
    add(
        "--perf-base-python",
        metavar="PROGRAM",
        default="",
        help="the base's interpreter, when it needs other framework versions",
    )
    add(
        "--perf-timeout",
        metavar="SECONDS",
        type=float,
        default=300.0,
        help="a worker that says nothing for so long counts as hung (default: 300)",
    )
    add(
        "--perf-wait",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="wait for another session that measures on this machine (default: 0, refuse)",
    )
    add(
        "--perf-cores",
        metavar="LIST",
        default="",
        help="measure on these cores, such as 0-7, and leave the others to other sessions, which "
        "may measure at the same time (default: the whole host)",
    )
    add(
        "--perf-gpus",
        metavar="LIST",
        default="",
        help="measure on these GPUs, by number or UUID, or `none`; without --perf-cores on their "
        "part of the cores, too",
    )
    add(
        "--perf-spread",
        action="store_true",
        help="with pytest-xdist: suites are spread over its workers, each on a share of the host's "
        "cores and GPUs that is its own",
    )
    add(
        "--perf-profile",
        choices=("failed", "all", "none"),
        default="failed",
        help="whose operators are profiled after the measuring: of recipes that break a budget on "
        "time, of all, or of none (default: failed)",
    )
    add("--perf-reports", metavar="DIR", default="reports", help="default: reports")
    add(
        "--perf-markdown",
        metavar="FILE",
        default="",
        help="write the answer as Markdown too, for a comment on a pull request",
    )
    add(
        "--perf-step-summary",
        choices=("auto", "never"),
        default="auto",
        help="append that to the file which $GITHUB_STEP_SUMMARY names, when it is set "
        "(default: auto)",
    )
    add(
        "--perf-openmetrics",
        metavar="FILE",
        default="",
        help="write an OpenMetrics file too, for a node exporter's textfile folder (*.prom)",
    )
    add(
        "--perf-mlflow",
        metavar="URI",
        default="",
        help="log the session to this MLflow tracking store, such as sqlite:///mlflow.db",
    )
    add(
        "--perf-history",
        metavar="DIR",
        default="",
        help="the store that each session is added to, `off` for none (default: history in the "
        "folder of reports; it needs duckdb)",
    )
    add("--perf-baselines", metavar="DIR", default="baselines", help="default: baselines")
    add("--perf-cache", metavar="DIR", default=".perfgate", help="default: .perfgate")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker; with `--perf`, the session."""
    config.addinivalue_line("markers", "perf: a budget of a recipe; runs with --perf")
    if config.getoption("--perf"):
        from pytest_perfgate.plugin.hooks import PerfHooks

        config.pluginmanager.register(PerfHooks(config), NAME)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Without `--perf`, one skipped test stands for all budgets of a suite."""
    if FIXTURE in metafunc.fixturenames and not metafunc.config.getoption("--perf"):
        skip = pytest.mark.skip(reason="perf tests run with: pytest --perf")
        parameter = pytest.param(None, marks=[skip, pytest.mark.perf], id="not-run")
        metafunc.parametrize(FIXTURE, [parameter], indirect=True)


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> BudgetCheck:
    """One budget of one recipe of the suite beside the test module: `budget.check()` holds it."""
    hooks: Any = request.config.pluginmanager.get_plugin(NAME)
    check: BudgetCheck = hooks.check(request)
    return check
