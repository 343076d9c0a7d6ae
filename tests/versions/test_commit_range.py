"""The commits between two refs, and what is said where there is no such range."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.versions.commit_range import read_range

from tests.measure.test_base_checkout import commit, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """First - one - (merge of `topic`: two, three) - empty - last; `aside` left at one."""
    top = tmp_path / "top"
    top.mkdir()
    git(top, "init", "--quiet", "--initial-branch", "main")
    commit(top, "a.txt", "first")
    commit(top, "a.txt", "one")
    git(top, "branch", "aside")
    git(top, "checkout", "--quiet", "-b", "topic")
    commit(top, "b.txt", "two")
    commit(top, "b.txt", "three")
    git(top, "checkout", "--quiet", "main")
    commit(top, "c.txt", "four")
    git(top, "merge", "--quiet", "--no-ff", "--message", "merge", "topic")
    git(top, "commit", "--quiet", "--allow-empty", "--message", "empty")
    commit(top, "a.txt", "last")
    git(top, "checkout", "--quiet", "aside")
    commit(top, "d.txt", "aside")
    git(top, "checkout", "--quiet", "main")
    return top


def test_every_commit_knows_what_it_contains(repository: Path) -> None:
    """Those of a merged branch among them; a commit that changes nothing is ruled out."""
    span = read_range(repository, "main~5", "main")
    assert span.subjects[0] == "one"
    assert set(span.subjects) == {"one", "two", "three", "four", "merge", "empty", "last"}
    assert span.subjects[-3:] == ("merge", "empty", "last")
    number = {subject: at for at, subject in enumerate(span.subjects)}

    def contains(one: str, other: str) -> bool:
        return bool(span.contains[number[other], number[one] + 1])

    assert contains("three", "two")
    assert contains("merge", "two")
    assert contains("merge", "four")
    assert contains("last", "one")
    assert not contains("four", "two")
    assert not contains("two", "three")
    assert not span.contains[:, 0].any()
    assert span.contains[:, -1].all()
    assert [span.subjects[at] for at, prior in enumerate(span.prior) if not prior] == ["empty"]


@pytest.mark.parametrize(
    ("good", "bad", "says", "next_step"),
    [
        ("nowhere", "main", "there is no commit 'nowhere' here", "git fetch"),
        ("main~1", "nowhere", "there is no commit 'nowhere' here", "git fetch"),
        ("--help", "main", "there is no commit '--help' here", "git fetch"),
        ("main", "main", "both are commit", ""),
        ("main", "main~1", "main is no ancestor of main~1", "--good "),
        ("aside", "main", "aside is no ancestor of main", "--good "),
        ("main~2", "main~1", "no commit between them changes a file", ""),
    ],
)
def test_a_range_that_is_none_is_one_message(
    repository: Path, good: str, bad: str, says: str, next_step: str
) -> None:
    """With the option, the ref, and what would do."""
    with pytest.raises(PerfgateError) as caught:
        read_range(repository, good, bad)
    assert says in caught.value.problem
    assert next_step in caught.value.next_step
    assert "--good" in caught.value.where or "--bad" in caught.value.where
