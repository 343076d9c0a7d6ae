"""The commit of the working tree, with and without changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.session.base_code import commit_of, untracked

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


def test_a_file_that_git_does_not_hold_counts_where_a_suite_rests_on_it(tmp_path: Path) -> None:
    """Others do not, and neither do those that git is told to ignore."""
    git(tmp_path, "init", "--quiet")
    root = tmp_path / "project"
    root.mkdir()
    name = commit(tmp_path, ".gitignore", "data/")
    for file in ("model.onnx", "notes.txt", "data/0.png"):
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text("new")
    assert untracked(root, {"model.onnx", "data/0.png", "gone.py"}) == ("model.onnx",)
    assert commit_of(root, files={"data/0.png"}) == (name, False)
    assert commit_of(root, files={"model.onnx"}) == (name, True)
    assert commit_of(root, files={str(root / "model.onnx")}) == (name, True)
    commit(tmp_path, "project/model.onnx", "new")
    assert commit_of(root, files={"model.onnx"})[1] is False


def test_without_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the commit nor whether there are changes."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path, files={"model.onnx"}) == ("", False)
    assert untracked(tmp_path, {"model.onnx"}) is None
