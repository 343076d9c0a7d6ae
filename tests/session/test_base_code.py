"""The commit of the working tree, with and without changes."""

from __future__ import annotations

from pathlib import Path

from pytest_perfgate.session.base_code import commit_of

from tests.measure.test_base_checkout import commit, git


def test_alerts_that_a_night_stores_are_no_change_of_the_code(tmp_path: Path) -> None:
    """A project below the repository's top; changes anywhere else in the repository count."""
    top, root = tmp_path / "top", tmp_path / "top" / "project"
    alerts = root / "baselines" / "alerts"
    alerts.mkdir(parents=True)
    git(top, "init", "--quiet", "--initial-branch", "main")
    commit(top, "other.txt", "code")
    name = commit(top, "project/baselines/alerts/m.json", "{}")
    assert commit_of(root) == (name, False)
    (alerts / "m.json").write_text('{"version": 1}')
    assert commit_of(root) == (name, True)
    assert commit_of(root, without=alerts) == (name, False)
    (top / "other.txt").write_text("changed")
    assert commit_of(root, without=alerts) == (name, True)
    assert commit_of(tmp_path) == ("", False)
