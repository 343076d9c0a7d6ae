"""Sessions under pytest-xdist: what a worker has measured outlives it."""

from __future__ import annotations

from tests.conftest import Project

CRASH = """\
import os


def pytest_runtest_teardown(item):
    crashes = os.environ.get("PYTEST_XDIST_WORKER") and "plain-map" in item.name
    if crashes and not os.path.exists("crashed"):
        open("crashed", "w").close()
        os._exit(9)
"""


def test_what_a_worker_measured_outlives_its_crash(project: Project) -> None:
    """It reached the controller after its suite: stored, reported, and said to be incomplete."""
    (project.root / "conftest.py").write_text(CRASH)
    result = project.run("-n", "1", "--max-worker-restart=0", "-k", "plain-map", process=True)
    assert result.ret != 0
    (session,) = project.sessions()
    assert session["complete"] is False
    assert project.verdicts() == {"plain-map": "NO BASELINE"}
    result.stdout.fnmatch_lines([f"*report: reports/{session['id']}.html"])


def test_a_suite_that_is_measured_again_stands_there_once(project: Project) -> None:
    """By the worker that took the place of the one that crashed."""
    (project.root / "conftest.py").write_text(CRASH)
    project.run("-n", "1", "-k", "plain-map or plain-artifact", process=True)
    (session,) = project.sessions()
    assert len(session["suites"]) == 1
    assert project.verdicts() == {"plain-map": "NO BASELINE", "plain-artifact_size": "PASS"}
