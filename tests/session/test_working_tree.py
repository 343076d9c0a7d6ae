"""The commit of the working tree, with and without changes, from a session's start to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

import pytest
from pytest_perfgate.session.working_tree import WorkingTree, notes_on_untracked, untracked

from tests.measure.test_base_checkout import commit, git


def commit_of(root: Path, files: Collection[str] = (), without: Path | None = None) -> object:
    """The commit and whether there are changes, where nothing changes between two looks."""
    state = WorkingTree(root, without=without).state(files)
    assert state.changed == ""
    return state.commit, state.dirty


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
    assert notes_on_untracked(root, {"data/0.png"}) == ()
    for number in range(8):
        (root / f"{number}.png").write_text("new")
    (note,) = notes_on_untracked(root, {f"{number}.png" for number in range(8)})
    assert note.endswith(": 0.png, 1.png, 2.png, 3.png, 4.png, 5.png and 2 more")
    assert commit_of(root, files={"data/0.png"}) == (name, False)
    assert commit_of(root, files={"model.onnx"}) == (name, True)
    assert commit_of(root, files={str(root / "model.onnx")}) == (name, True)
    commit(tmp_path, "project/model.onnx", "new")
    assert commit_of(root, files={"model.onnx"}) == (git(root, "rev-parse", "HEAD"), False)


def test_without_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the commit nor whether there are changes."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path, files={"model.onnx"}) == ("", False)
    assert untracked(tmp_path, {"model.onnx"}) is None


def test_a_commit_that_changes_meanwhile_is_not_named(tmp_path: Path) -> None:
    """Also where the first one is checked out again before the end."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    first = commit(tmp_path, "model.onnx", "first")
    git(tmp_path, "checkout", "--quiet", "-b", "other")
    second = commit(tmp_path, "model.onnx", "second")
    git(tmp_path, "checkout", "--quiet", "main")
    tree = WorkingTree(tmp_path)
    assert (tree.state().commit, tree.state().dirty) == (first, False)
    for branch in ("other", "main"):
        git(tmp_path, "checkout", "--quiet", branch)
        state = tree.state()
        assert (state.commit, state.dirty) == ("", True)
        assert f"({first[:10]} -> {second[:10]})" in state.changed
    tree = WorkingTree(tmp_path)
    git(tmp_path, "checkout", "--quiet", "other")
    assert tree.state().commit == ""  # the first look counts, without another before the checkout


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_shall_take_for_unchanged_is_compared(tmp_path: Path, mark: str) -> None:
    """A marked file with the commit's content is no change; one with another, or without any, is.
    So is a marked link that leads elsewhere.
    """
    git(tmp_path, "init", "--quiet")
    (tmp_path / "link").symlink_to("model.onnx")
    name = commit(tmp_path, "model.onnx", "committed")
    git(tmp_path, "update-index", mark, "model.onnx", "link")
    assert commit_of(tmp_path) == (name, False)
    for content in ("other", None, "committed"):
        (tmp_path / "model.onnx").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "model.onnx").write_text(content)
        assert commit_of(tmp_path) == (name, content != "committed")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("elsewhere")
    assert commit_of(tmp_path) == (name, True)


def test_files_that_a_sparse_checkout_left_out_are_no_change(tmp_path: Path) -> None:
    """They are not here; one that is here all the same, with other content, is."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "data").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.txt").write_text("a")
    name = commit(tmp_path, "data/weights", "committed")
    git(tmp_path, "sparse-checkout", "set", "kept")
    assert not (tmp_path / "data").exists()
    assert commit_of(tmp_path) == (name, False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights").write_text("other")
    assert commit_of(tmp_path) == (name, True)


def test_settings_of_git_hide_no_change(tmp_path: Path) -> None:
    """Neither of a submodule that is to be ignored, nor of a file whose size and time are as they
    were, where git is told to look at no more.
    """
    inner, top = tmp_path / "inner", tmp_path / "top"
    for folder in (inner, top):
        folder.mkdir()
        git(folder, "init", "--quiet")
    commit(inner, "model.py", "committed")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(top, "config", "--file", ".gitmodules", "submodule.sub.ignore", "all")
    git(top, "config", "diff.ignoreSubmodules", "all")
    git(top, "config", "core.trustctime", "false")
    model = top / "model.onnx"
    model.write_text("committed")
    os.utime(model, (1, 1))
    name = commit(top, "other.txt", "x")
    assert commit_of(top) == (name, False)
    while int(time.time()) <= int(model.stat().st_ctime):
        time.sleep(0.05)  # git may compare whole seconds
    model.write_text("different"[: len("committed")])
    os.utime(model, (1, 1))
    assert commit_of(top) == (name, True)
    model.write_text("committed")
    git(top / "sub", "update-index", "--assume-unchanged", "model.py")
    (top / "sub" / "model.py").write_text("changed")
    assert commit_of(top) == (name, True)


@pytest.mark.parametrize("held", [True, False], ids=["held by git", "not held"])
@pytest.mark.parametrize("at_start", [True, False], ids=["until it starts", "before it ends"])
def test_a_file_with_changes_at_one_time_counts(tmp_path: Path, held: bool, at_start: bool) -> None:
    """Changed when the session starts and clean at its end, and the reverse."""
    git(tmp_path, "init", "--quiet")
    name = commit(tmp_path, "notes.txt", "new")
    if held:
        name = commit(tmp_path, "model.onnx", "committed")
    model = tmp_path / "model.onnx"

    def change() -> None:
        model.write_text("not committed")

    def clean() -> None:
        git(tmp_path, "checkout", "model.onnx") if held else model.unlink()

    if at_start:
        change()
    tree = WorkingTree(tmp_path)
    (clean if at_start else change)()
    state = tree.state({"model.onnx"})
    assert (state.commit, state.dirty) == (name, True)
    assert "files changed while the session measured (model.onnx)" in state.changed
    assert f"under {name[:10]} alone" in state.changed
    other = WorkingTree(tmp_path).state({"model.onnx"})
    assert (other.dirty, other.changed) == (not at_start, "")
