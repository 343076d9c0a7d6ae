"""The lock file: written whole, read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.locations import lock_file
from pytest_perfgate.records.location import Locked, LockedFile

DIGEST = "0123456789abcdef" * 4
ENTRY = f"""\
version = 1
[[location]]
url = "s3://bucket/a.onnx"
[[location.file]]
path = "a.onnx"
size = 3
sha256 = "{DIGEST}"
"""

names = st.text("abcdefghijklmnopqrstuvwxyzé0123456789._-", min_size=1, max_size=20).filter(
    lambda name: name.strip(".")
)
locked_files = st.builds(
    LockedFile, names, st.integers(0, 2**40), st.text("0123456789abcdef", min_size=64, max_size=64)
)
entries = st.lists(
    st.builds(
        Locked,
        names.map("s3://bucket/{}".format),
        st.lists(locked_files, min_size=1, max_size=3).map(tuple),
        st.text(max_size=20),
    ),
    max_size=4,
    unique_by=lambda entry: entry.url,
)


@given(entries)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, written: list[Locked]):
    """In the same order, whatever a store calls its versions; without entries there is no file."""
    file = tmp_path_factory.mktemp("lock") / "recipes.lock"
    lock_file.write(file, written)
    assert list(lock_file.read(file, "recipes.lock").values()) == written
    assert file.exists() == bool(written)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("version = 1", "version = 2", "version"),
        ("version = 1", "<<<<<<< HEAD", "it is no lock file"),
        ('path = "a.onnx"', 'path = "../a.onnx"', "leaves its folder"),
        ('path = "a.onnx"', 'path = "/etc/a.onnx"', "leaves its folder"),
        (DIGEST, DIGEST[:-1], "sha256"),
        ("size = 3", "size = -3", "size"),
        ("size = 3", "size = 3\nmode = 7", "mode"),
        (ENTRY, ENTRY + ENTRY.partition("\n")[2], "twice"),
    ],
)
def test_a_file_that_nobody_wrote_is_refused(tmp_path: Path, before: str, after: str, said: str):
    """A lock file comes from whoever may write to the repository; its errors name it."""
    file = tmp_path / "recipes.lock"
    file.write_text(ENTRY)
    assert lock_file.read(file, "recipes.lock")
    file.write_text(ENTRY.replace(before, after))
    with pytest.raises(RecipeError) as caught:
        lock_file.read(file, "suites/a/recipes.lock")
    assert said in str(caught.value)
    assert caught.value.where == "suites/a/recipes.lock"
    assert "pytest-perfgate lock" in caught.value.next_step
