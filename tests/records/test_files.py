"""Files: written whole or not at all, over regular files alone, with what the umask leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import put, put_all, replacing, writing


def test_an_error_leaves_the_old_content_and_no_part(tmp_path: Path) -> None:
    """A text that cannot be encoded replaces nothing and leaves nothing beside the file."""
    file = tmp_path / "page.html"
    put(file, "old")
    with pytest.raises(UnicodeEncodeError):
        put(file, "half \ud800 of it")
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_permissions_are_what_the_umask_leaves(tmp_path: Path) -> None:
    """A user who shares no files shares none of these."""
    before = os.umask(0o077)
    try:
        put(tmp_path / "private", "")
        os.umask(0o002)
        put(tmp_path / "shared", "")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("private", "shared")]
    assert modes == [0o600, 0o664]


def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path) -> None:
    """A pipe, as a device, keeps its name: a rename would take it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with (
        pytest.raises(ReportError, match="the page cannot be written: another kind of file"),
        writing(pipe, "the page", ReportError),
        replacing(pipe),
    ):
        pytest.fail("there was something to write into")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_several_files_are_written_all_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A disk that is full at the second, and a second that cannot take its place: the first is what
    it was, a new one is gone, and no part is left.
    """
    old, new, second = (tmp_path / name for name in ("old", "new", "second"))
    put(old, "old")
    put(second, "second")
    count = 0

    def fail(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(28, "No space left on device")
        if fails == "replace":
            rename(*arguments)

    rename = Path.replace
    owner = os if fails == "fsync" else Path
    with monkeypatch.context() as patch:
        patch.setattr(owner, fails, fail)
        with pytest.raises(OSError, match="No space left"):
            put_all({old: b"1", new: b"2", second: b"3"})
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "old": "old",
        "second": "second",
    }
    put_all({old: b"1", new: b"2"})
    assert (old.read_text(), new.read_text()) == ("1", "2")
