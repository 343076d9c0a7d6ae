"""The commit to compare with, and its files: found in git's own terms, whoever called pytest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.measure.base_checkout import checked_out, find

WHO = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    done = subprocess.run(
        ["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    """Commits one file; the commit's full name."""
    (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a project below its top, in which `topic` has left `main` and both went
    on.
    """
    top = tmp_path / "top"
    (top / "service").mkdir(parents=True)
    git(top, "init", "--quiet", "--initial-branch", "main")
    commit(top, "service/model.txt", "fork")
    git(top, "checkout", "--quiet", "-b", "topic")
    commit(top, "service/topic.txt", "topic")
    git(top, "checkout", "--quiet", "main")
    commit(top, "service/model.txt", "main went on")
    git(top, "checkout", "--quiet", "topic")
    return top


def test_the_base_is_the_merge_base(repository: Path, tmp_path: Path) -> None:
    """What others did on the branch meanwhile is not part of the difference; the name says so."""
    base = find(repository / "service", "main")
    assert base.commit == git(repository, "rev-parse", "topic~1")
    assert base.name == f"the merge base with main ({base.commit[:10]})"
    with checked_out(base, tmp_path / "cache") as root:
        assert (root / "model.txt").read_text() == "fork"


def test_the_tip_is_measured_when_it_is_asked_for(repository: Path) -> None:
    """`--perf-base-tip`; an ancestor of HEAD is its own merge base."""
    assert find(repository, "main", tip=True).name.startswith("main (")
    assert find(repository, "main", tip=True).commit == git(repository, "rev-parse", "main")
    assert find(repository, "HEAD~1").commit == git(repository, "rev-parse", "HEAD~1")
    assert not find(repository, "HEAD~1").merge_base


def test_no_common_history_names_the_option(repository: Path) -> None:
    """An orphan branch has no merge base with HEAD."""
    git(repository, "checkout", "--quiet", "--orphan", "other")
    commit(repository, "other.txt", "other")
    with pytest.raises(PerfgateError, match="no common history") as caught:
        find(repository, "main")
    assert "--perf-base-tip" in caught.value.next_step


def test_a_shallow_clone_without_the_merge_base_is_named(repository: Path, tmp_path: Path) -> None:
    """Both tips are here, and what they have in common is not."""
    clone = tmp_path / "clone"
    url = repository.as_uri()
    git(tmp_path, "clone", "--quiet", "--depth=1", "--no-single-branch", url, str(clone))
    with pytest.raises(PerfgateError, match="shallow") as caught:
        find(clone, "origin/main")
    assert "git fetch --unshallow" in caught.value.next_step


@pytest.mark.parametrize("linked", [False, True], ids=["main tree", "linked tree"])
def test_a_hook_that_called_pytest_does_not_choose_the_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """Git exports GIT_DIR and GIT_INDEX_FILE to hooks, relative to the top."""
    top = repository
    if linked:
        top = tmp_path / "linked"
        git(repository, "worktree", "add", "--quiet", "-b", "second", str(top))
    monkeypatch.setenv("GIT_DIR", git(top, "rev-parse", "--git-dir"))
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    monkeypatch.setenv("GIT_WORK_TREE", ".")
    base = find(top / "service", "HEAD~1")
    assert base.top == top
    assert base.prefix == "service/"
    with checked_out(base, tmp_path / "cache") as root:
        assert sorted(path.name for path in root.iterdir()) == ["model.txt"]


def test_dubious_ownership_is_said_in_gits_words(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's checkout of another user: the next step is git's own command."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests refuse by this
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    with pytest.raises(PerfgateError, match="detected dubious ownership") as caught:
        find(repository, "HEAD")
    assert caught.value.next_step == f"git config --global --add safe.directory {repository}"


def test_a_partial_clone_that_cannot_fetch_names_what_it_is(
    repository: Path, tmp_path: Path
) -> None:
    """Its blobs are at a remote that is gone."""
    clone = tmp_path / "clone"
    git(repository, "config", "uploadpack.allowFilter", "true")
    commit(repository, "service/model.txt", "again")
    url = repository.as_uri()
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", url, str(clone))
    repository.rename(tmp_path / "gone")
    base = find(clone / "service", "HEAD~1")
    with pytest.raises(PerfgateError) as caught, checked_out(base, tmp_path / "cache"):
        pass
    assert "git fetch --refetch" in caught.value.next_step
    assert not any((tmp_path / "cache" / "base").iterdir())


def test_a_sparse_checkout_is_completed_for_the_base(repository: Path, tmp_path: Path) -> None:
    """Patterns of the working tree leave nothing out of the base."""
    git(repository, "sparse-checkout", "set", "--no-cone", "/none")
    base = find(repository, "main", tip=True)
    with checked_out(base, tmp_path / "cache") as root:
        assert (root / "service" / "model.txt").read_text() == "main went on"
