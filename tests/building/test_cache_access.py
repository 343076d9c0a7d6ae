"""Who else may write to the cache is named or refused: it holds code that runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_perfgate.building import cache_access
from pytest_perfgate.building.cache_access import refuse_others
from pytest_perfgate.errors import PerfgateError


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache that only this user can write to."""
    root = tmp_path / "cache"
    (root / "artifacts").mkdir(parents=True, mode=0o755)
    root.chmod(0o755)
    (root / "artifacts").chmod(0o755)
    return root


def test_a_cache_of_this_user_alone_is_fine(cache: Path) -> None:
    """As is one that is not there yet."""
    assert refuse_others(cache) == ""
    assert refuse_others(cache / "none") == ""


@pytest.mark.parametrize("part", [".", "artifacts"])
def test_a_cache_that_everybody_can_write_is_refused(cache: Path, part: str) -> None:
    """With the folder and the command."""
    (cache / part).chmod(0o777)
    with pytest.raises(PerfgateError, match="every user of this machine can write") as caught:
        refuse_others(cache)
    assert caught.value.where == str(cache / part)
    assert "chmod -R o-w" in caught.value.next_step


def test_a_group_that_can_write_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the group of this user alone, which many systems give each user."""
    (cache / "artifacts").chmod(0o775)
    monkeypatch.setattr(cache_access, "_group", lambda _: "staff")
    note = refuse_others(cache)
    assert (
        note
        == f"group staff can write to the cache {cache / 'artifacts'}, and so run code as this user"
    )
    monkeypatch.setattr(cache_access, "_user", lambda _: "staff")
    assert refuse_others(cache) == ""


def test_another_owner_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns a folder can write to it."""
    monkeypatch.setattr(os, "geteuid", lambda: cache.stat().st_uid + 1)
    owner = cache.stat().st_uid
    monkeypatch.setattr(cache_access, "_user", lambda number: f"number {number}")
    note = refuse_others(cache)
    assert (note == "") if owner == 0 else note.startswith(f"user number {owner} can write to")
