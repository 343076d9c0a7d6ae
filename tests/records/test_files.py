"""Files: written whole or not at all, over regular files alone, with what the umask leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import put, replacing, writing


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
