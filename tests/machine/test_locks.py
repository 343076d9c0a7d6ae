"""The folder of the locks is this user's own, or nothing in it is touched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine.locks import exclusive


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder of the locks would be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"pytest-perfgate-{os.getuid()}"


def linked(place: Path) -> None:
    """A link to a folder of somebody."""
    (place.parent / "elsewhere").mkdir()
    place.symlink_to(place.parent / "elsewhere")


def file(place: Path) -> None:
    """A file of that name."""
    place.touch()


def open_to_all(place: Path) -> None:
    """A folder that others may write to."""
    place.mkdir()
    place.chmod(0o777)


def linked_lock(place: Path) -> None:
    """A lock that is a link to a file of this user's."""
    place.mkdir(mode=0o700)
    (place.parent / "precious").write_text("do not touch")
    (place / "cpu.lock").symlink_to(place.parent / "precious")


def pipe(place: Path) -> None:
    """A lock that is a named pipe."""
    place.mkdir(mode=0o700)
    os.mkfifo(place / "cpu.lock")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (linked, "it is no folder"),
        (file, "it is no folder"),
        (open_to_all, r"others may write to it \(mode 777\)"),
        (linked_lock, "Too many levels of symbolic links"),
        (pipe, "it is no regular file of this user"),
    ],
)
def test_what_is_not_ours_is_refused(
    place: Path, before: Callable[[Path], None], said: str
) -> None:
    """With the place and what to do; nothing is followed, truncated or written."""
    before(place)
    with pytest.raises(PerfgateError, match=said) as raised, exclusive(None, 0.0, print):
        pytest.fail("it measures")
    assert str(place) in raised.value.where
    assert "TMPDIR" in raised.value.next_step
    precious = place.parent / "precious"
    assert not precious.exists() or precious.read_text() == "do not touch"


def test_a_folder_of_another_user_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could change the locks, or hold them for ever."""
    place.mkdir(mode=0o700)
    real = os.getuid()
    other = place.with_name(f"pytest-perfgate-{real + 1}")
    place.rename(other)
    monkeypatch.setattr(os, "getuid", lambda: real + 1)
    with (
        pytest.raises(PerfgateError, match=f"belongs to user {real}, not to user {real + 1}"),
        exclusive(None, 0.0, print),
    ):
        pytest.fail("it measures")


def test_an_own_folder_is_made_and_used_again(place: Path) -> None:
    """No other user may look into it."""
    for _ in range(2):
        with exclusive(None, 0.0, print):
            assert (place / "cpu.lock").read_text() == str(os.getpid())
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / "cpu.lock").read_text() == ""
