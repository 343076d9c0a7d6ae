"""Suites on several kinds of machines: a test for each, and none is green by absence."""

from __future__ import annotations

from pytest_perfgate.history.rows import of_session
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.suite.metrics import metrics_of_session

from tests.conftest import Project, said
from tests.squares import HEAD, PLAIN

TARGETS = """
[targets.here]
machine = "label:mine"

[targets.twin]
machine = "label:mine"

[targets.desk]
machine = "fingerprint:another-2c-0a0b0c0d"
"""


def targeted(project: Project, *names: str) -> None:
    """The suite with these targets."""
    (project.root / "perfgate.toml").write_text(TARGETS)
    listed = ", ".join(f'"{name}"' for name in names)
    project.write(HEAD.replace("batch = 4", f"targets = [{listed}]\nbatch = 4") + PLAIN)


def test_a_recipe_on_a_target_is_one_test(project: Project) -> None:
    """A target that is this machine is measured; one without a machine is NO MACHINE, shown with
    what to do, and red under `--perf-strict`. The series of the machine has no result of the other.
    """
    targeted(project, "here", "desk")
    result = project.run("--perf-labels=mine", "-k", "map or size", "-rs", "--junitxml=x.xml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*1 passed, 2 deselected,*1 no baseline, 2 no machine*"])
    said(
        result,
        "2 of 4 budgets were measured. None of 2 budgets is broken; 1 has no baseline on this "
        "machine yet and 2 have no machine for their target.",
        "NO MACHINE tiny@desk suite: 2 budgets",
        "the target desk is the machine another-2c-0a0b0c0d, and this one is",
        "verdicts: 1 NO BASELINE, 2 NO MACHINE, 1 PASS",
    )
    session = SessionRecord.model_validate(project.sessions()[-1])
    assert [suite.title for suite in session.suites] == ["tiny@here", "tiny@desk"]
    here, desk = session.suites
    junit = (project.root / "x.xml").read_text()
    assert junit.count('name="target" value="here"') == 2
    assert junit.count(f'name="machine" value="{session.machine.id}"') == 2
    assert junit.count('name="target" value="desk"') == 2
    assert here.machine == session.machine
    assert desk.machine is None
    (part,) = session.by_machine()
    rows = list(of_session(part, metrics_of_session(part)))
    assert {row["status"] for row in rows if "status" in row} == {"PASS", "NO BASELINE"}

    strict = project.run("--perf-strict", "-k", "plain-map and desk")
    assert strict.ret == 10
    strict.assert_outcomes(errors=1, deselected=5)
    said(strict, "NO MACHINE  plain  map", "perfgate.toml: targets.desk")


def test_targets_that_are_one_machine_have_baselines_of_their_own(project: Project) -> None:
    """What is accepted on one of them is no baseline of the other, nor of the suite without."""
    targeted(project, "here", "twin")
    assert project.run("--perf-labels=mine", "--perf-update", "-k", "map and here").ret == 0
    (stored,) = project.root.glob("baselines/*/*/plain.json")
    assert stored.parent.name == "tiny@here"
    result = project.run("--perf-labels=mine", "-k", "map")
    result.stdout.fnmatch_lines(["*1 passed, 4 deselected,*1 no baseline*"])
    session = SessionRecord.model_validate(project.sessions()[-1])
    statuses = [suite.verdicts[0].status.value for suite in session.suites]
    assert statuses == ["PASS", "NO BASELINE"]
    (part,) = session.by_machine()
    rows = of_session(part, metrics_of_session(part))
    assert {row["suite"] for row in rows} == {"tiny@here", "tiny@twin"}


def test_a_target_that_is_not_known_fails_its_suite(project: Project) -> None:
    """The error names the key, the value and the lines to add."""
    targeted(project, "jetson")
    result = project.run()
    result.assert_outcomes(errors=1)
    said(
        result,
        "suites/tiny/recipes.toml: suite.targets[0]: 'jetson' is not a target",
        "[targets.jetson] with machine =",
    )
