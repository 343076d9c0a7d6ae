"""`--perf-affected`: recipes that a change can touch are never taken for unaffected."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_perfgate.building import input_digests
from pytest_perfgate.records.inputs import Unaffected, key_of
from pytest_perfgate.records.verdict import Status

from tests.session.edited_project import (
    ALL,
    EDITS,
    HARMLESS,
    LINE,
    Project,
    install,
    measured_project,
    undo,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after the session of its base."""
    return measured_project(tmp_path_factory.mktemp("affected"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(st.sampled_from(sorted(EDITS)), unique=True, max_size=4),
    harmless=st.lists(st.sampled_from(sorted(HARMLESS)), unique=True, max_size=3),
)
def test_nothing_affected_is_missed(
    project: Project, edits: list[str], harmless: list[str]
) -> None:
    """Whatever is edited: measured are the recipes that rest on it, with those that are compared
    with them, and no others.
    """
    kept = {name: getattr(project, name) for name in ("host", "machine", "environment", "rounds")}
    try:
        for name in edits:
            EDITS[name][0](project)
        for name in harmless:
            HARMLESS[name](project)
        expected = frozenset().union(*(EDITS[name][1] for name in edits))
        assert project.affected() == expected
    finally:
        undo(project, kept)
    assert not project.affected()


@pytest.mark.parametrize("name", sorted(EDITS))
def test_each_input_is_one(project: Project, name: str) -> None:
    """Alone, and every time: hypothesis need not draw it."""
    kept = {key: getattr(project, key) for key in ("host", "machine", "environment", "rounds")}
    edit, touched = EDITS[name]
    try:
        edit(project)
        assert project.affected() == touched
    finally:
        undo(project, kept)


def test_what_is_not_known_is_measured(project: Project) -> None:
    """No session of the base, one of another commit, one that does not say what the recipe or its
    reference rested on, one that did not decide the budget.
    """
    earlier = project.earlier
    assert not project.selection(earlier).wanted
    for stored in (
        [],
        [replace(earlier, commit="c" * 40)],
        [replace(earlier, name="another suite")],
        [replace(earlier, recipes={})],
    ):
        assert set(project.selection(*stored).wanted) == ALL
    without = {name: one for name, one in earlier.recipes.items() if name != "plain"}
    assert set(project.selection(replace(earlier, recipes=without)).wanted) == LINE
    for status in set(Status) - {Status.PASS, Status.FAIL}:
        open_budget = {**earlier.statuses, ("other", "map"): status}
        result = project.selection(replace(earlier, statuses=open_budget))
        assert set(result.wanted) == {"other"}
        assert f"map was {status.value} in session" in result.reasons["other"]


def test_a_broken_budget_is_unaffected_and_not_kept(project: Project) -> None:
    """It is named with the session that measured it, and is no proof."""
    broken = {**project.earlier.statuses, ("other", "map"): Status.FAIL}
    result = project.selection(replace(project.earlier, statuses=broken))
    verdicts = {verdict.recipe: verdict for verdict in result.verdicts}
    assert {verdict.status for verdict in result.verdicts} == {Status.UNAFFECTED}
    assert [name for name in ALL if not verdicts[name].is_proven_earlier] == ["other"]
    assert "FAIL in session 20261101-000000 of 2026-11-01" in verdicts["other"].reason


def test_a_session_that_measured_nothing_leads_to_the_one_that_did(project: Project) -> None:
    """The base's session found its recipes unaffected; the one that it names is asked, and must
    have measured them with these inputs.
    """
    origin = replace(project.earlier, commit="c" * 40)
    unaffected = {
        name: Unaffected(
            recipe=name,
            reference=origin.references[name],
            session=origin.session,
            started=origin.started,
            commit=origin.commit,
            key=key_of(origin.inputs, inputs),
        )
        for name, inputs in origin.recipes.items()
    }
    middle = replace(
        project.earlier, session="20261102-000000", recipes={}, statuses={}, unaffected=unaffected
    )
    # A reference is measured beside recipes that are compared with it, and judged by the origin.
    beside = replace(middle, recipes={"plain": origin.recipes["plain"]})
    for named in (middle, beside):
        assert not project.selection(named, origin).wanted
    result = project.selection(middle, origin)
    assert {one.session for one in result.unaffected} == {origin.session}
    assert set(project.selection(middle).wanted) == ALL  # the file of the origin is gone
    other = replace(middle, unaffected={**unaffected, "plain": unaffected["other"]})
    assert set(project.selection(other, origin).wanted) == {"plain"}


def test_a_package_that_hides_another_counts(tmp_path: Path) -> None:
    """Two distributions of one name on the import path: a change of either is one."""
    first, second = tmp_path / "first", tmp_path / "second"
    versions = []
    for one, other in (("1.0", "1.0"), ("2.0", "1.0"), ("1.0", "2.0")):
        install(first, one, "aaa")
        install(second, other, "aaa")
        paths = [str(first), str(second)]
        versions.append(input_digests.versions_of(distributions(path=paths))["fastops"])
    assert len(set(versions)) == 3
