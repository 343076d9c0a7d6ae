"""A run that ends at a failed test has the exit code of failed tests, under pytest-xdist too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pytest_perfgate.plugin.options import NOT_PROVEN
from pytest_perfgate.plugin.stopping import as_failure

from tests.conftest import Project, said
from tests.squares import HEAD, PLAIN, RECIPES


def session(failed: int, *, maxfail: int = 0, stepwise: bool = False) -> pytest.Session:
    """Of a run with so many failed tests and these options."""
    options = {"maxfail": maxfail, "stepwise": stepwise}
    return cast(
        pytest.Session,
        SimpleNamespace(
            testsfailed=failed,
            config=SimpleNamespace(getoption=lambda name, _=None: options[name]),
            Failed=pytest.Session.Failed,
            shouldfail=False,
        ),
    )


@pytest.mark.parametrize("options", [{"maxfail": 1}, {"maxfail": 2}, {"stepwise": True}])
def test_an_end_at_failures_is_a_failure(options: dict[str, Any]) -> None:
    """pytest-xdist's interrupt is one of its own, and no Ctrl-C."""
    dsession = pytest.importorskip("xdist.dsession", reason="python -m pip install pytest-xdist")
    for stop in (pytest.Session.Interrupted, dsession.Interrupted):
        run = session(2, **options)
        with pytest.raises(pytest.Session.Failed, match="stopping"), as_failure(run, lambda: False):
            raise stop("stopping after 2 failures")
        assert run.shouldfail


@pytest.mark.parametrize(
    ("run", "is_interrupted", "error"),
    [
        (session(1, maxfail=1), False, KeyboardInterrupt),
        (session(1, maxfail=1), True, pytest.Session.Interrupted),
        (session(0, maxfail=1), False, pytest.Session.Interrupted),
        (session(1, maxfail=2), False, pytest.Session.Interrupted),
        (session(1), False, pytest.Session.Interrupted),
    ],
)
def test_any_other_interrupt_stays_one(
    run: pytest.Session, is_interrupted: bool, error: type[BaseException]
) -> None:
    """Ctrl-C here or in a worker, and a plugin that ends a run for another reason."""
    with pytest.raises(error), as_failure(run, lambda: is_interrupted):
        raise error
    assert not run.shouldfail


def test_under_xdist_the_code_says_what_failed(project: Project) -> None:
    """1 for a broken budget, 10 for one that could not be measured. The budget whose test did not
    run any more was measured with the other one, and counts.
    """
    pytest.importorskip("xdist", reason="python -m pip install pytest-xdist")
    size = 'artifact_size = { max = "1 MB" }\n'
    project.write(HEAD + PLAIN.replace(size, "").replace("map  ", size.replace("M", "k") + "map  "))
    result = project.run("-n", "2", "-x", "-k", "map or artifact", process=True)
    said(result, "2 of 2 budgets were measured", "1 FAIL, 1 NO BASELINE")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    project.write(RECIPES.replace('task  = "detection"', 'task  = "detektion"'))
    result = project.pytest("--perf", "-n", "2", "-x", process=True)
    result.assert_outcomes(errors=1)
    assert result.ret == NOT_PROVEN
