"""The pytest plugin's hooks, thin: nothing but pytest is imported until `--perf` asks for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_perfgate.plugin.options import FIXTURE, GROUP, OPTIONS

if TYPE_CHECKING:
    from pytest_perfgate.plugin.outcome import BudgetCheck

NAME = "perfgate-session"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options; `pytest --help` shows them in a group of their own."""
    group = parser.getgroup("perfgate", GROUP)
    for option in OPTIONS:
        group.addoption(option.name, **option.arguments)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker; with `--perf`, the session."""
    config.addinivalue_line("markers", "perf: a budget of a recipe; runs with --perf")
    if config.getoption("--perf"):
        _refuse_other_systems()
        from pytest_perfgate.plugin.hooks import PerfHooks

        config.pluginmanager.register(PerfHooks(config), NAME)


def _refuse_other_systems() -> None:
    """Check that workers can be forked, locked and pinned to cores here."""
    import os
    import platform
    from importlib.util import find_spec

    system = platform.system()
    if system != "Linux" or find_spec("fcntl") is None or not hasattr(os, "sched_setaffinity"):
        raise pytest.UsageError(
            f"--perf: Linux only, and this is {system}: arms are forked, and pinned to cores. "
            "Without --perf the tests of suites are skipped here; measure in a Linux container or "
            "on a CI runner"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrizes tests that use this plugin's fixture `budget`; a project's own fixture or
    parameter of that name stays as it is.

    Without `--perf`, one skipped test stands for all budgets of a suite.
    """
    if not _uses_budget(metafunc):
        return
    hooks: Any = metafunc.config.pluginmanager.get_plugin(NAME)
    if hooks is not None:
        hooks.parametrize(metafunc)
        return
    skip = pytest.mark.skip(reason="perf tests run with: pytest --perf")
    parameter = pytest.param(None, marks=[skip, pytest.mark.perf], id="not-run")
    metafunc.parametrize(FIXTURE, [parameter], indirect=True)


def _uses_budget(metafunc: pytest.Metafunc) -> bool:
    """Whether the test's `budget` is this plugin's fixture, or a project's that builds on it.

    pytest has no public way to ask. Definitions are listed from the least to the most specific;
    one that takes an argument of its own name gets the definition before it.
    """
    for definition in reversed(metafunc._arg2fixturedefs.get(FIXTURE, ())):
        if definition.baseid == "" and definition.func.__module__ == __name__:
            return True
        if FIXTURE not in definition.argnames:
            return False
    return False


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> BudgetCheck:
    """One budget of one recipe of the suite beside the test module: `budget.check()` holds it."""
    hooks: Any = request.config.pluginmanager.get_plugin(NAME)
    check: BudgetCheck = hooks.check(request)
    return check
