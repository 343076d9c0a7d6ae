"""A cached file is used only while it is the file that was stored."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_perfgate.building.artifact_cache import ArtifactStore, Entry, Stored
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.errors import BuildError

KEY = "k"
FILES = {
    "evaluation.json": b'{"accuracy": 0.8125}',
    "predictions.npz": bytes(range(64)),
    "inner/weights.bin": b"w",
}


def stored(root: Path) -> Entry:
    """An evaluation with its predictions, as a worker stores them."""
    store = ArtifactStore(root)
    about = Stored(
        kind="evaluation", file="evaluation.json", effect={}, structures=(), seconds=1.0, files={}
    )
    with store.lock(KEY), store.scratch() as folder:
        (folder / "inner").mkdir()
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
        return store.add(KEY, folder, about)


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """An entry in a cache of its own."""
    return stored(tmp_path / "cache")


def find(entry: Entry) -> tuple[Entry | None, list[str]]:
    """What another session finds, and what it says of it."""
    root = entry.folder.parents[2]
    store = ArtifactStore(root)
    return store.find(KEY, Watch(root)), store.damaged


def test_an_entry_is_found_as_it_was_stored(entry: Entry) -> None:
    """Nothing is said of it, and its use is noted."""
    os.utime(entry.folder / "link.json", (1, 1))
    assert find(entry) == (entry, [])
    assert (entry.folder / "link.json").stat().st_mtime > 1


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_changed_byte_is_used(tmp_path: Path, data: st.DataObject) -> None:
    """Of any file of the entry, its description and its seal too: it is said, and built anew. One
    digit of an accuracy would be the accuracy from then on.
    """
    entry = stored(tmp_path / "cache")
    name = data.draw(st.sampled_from([*FILES, "link.json", "link.sha256"]))
    content = bytearray((entry.folder / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (entry.folder / name).write_bytes(content)
    result, damaged = find(entry)
    assert result is None
    assert len(damaged) == 1
    assert " was damaged; it was built again" in damaged[0]
    assert find(entry) == (None, [])  # it is gone, and not said again
    assert find(stored(tmp_path / "cache")) == (entry, [])


def cut(folder: Path) -> None:
    """A file lost its content."""
    (folder / "predictions.npz").write_bytes(b"")


def remove(folder: Path) -> None:
    """A file is gone."""
    (folder / "inner" / "weights.bin").unlink()


def add(folder: Path) -> None:
    """A file more."""
    (folder / "inner" / "more.bin").write_bytes(b"x")


def remove_description(folder: Path) -> None:
    """What describes the entry is gone."""
    (folder / "link.json").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut, "predictions.npz"),
        (remove, "inner/weights.bin"),
        (add, "inner/more.bin"),
        (remove_description, "link.json"),
    ],
)
def test_a_cut_missing_or_added_file_is_built_anew(
    entry: Entry, change: Callable[[Path], None], said: str
) -> None:
    """All files of an entry count, and no others: the sizes of artifacts are judged."""
    change(entry.folder)
    result, damaged = find(entry)
    assert result is None
    assert f"{entry.folder.name}/{said} was damaged; it was built again" in damaged[0]


@pytest.mark.parametrize("part", ["evaluation.json", "link.json", "inner", ".", ".."])
def test_a_link_in_place_of_a_part_is_built_anew(entry: Entry, tmp_path: Path, part: str) -> None:
    """What it leads to could change after the look, though it is equal now; it stays as it is."""
    place = Path(os.path.normpath(entry.folder / part))
    other = tmp_path / "elsewhere"
    place.replace(other)
    place.symlink_to(other)
    names = sorted(path.name for path in other.rglob("*"))
    assert find(entry)[0] is None
    assert not place.is_symlink()
    anew = stored(entry.folder.parents[2])
    assert find(anew) == (anew, [])
    assert sorted(path.name for path in other.rglob("*")) == names


@pytest.mark.parametrize("name", ["artifacts", "locks", "caches", "training", "runtime"])
def test_a_folder_of_the_cache_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written where it leads; the cache as a whole may be a link."""
    root, other = tmp_path / "cache", tmp_path / "other"
    ArtifactStore(root)
    (root / name).rmdir()
    other.mkdir()
    (root / name).symlink_to(other)
    with pytest.raises(BuildError, match="leads elsewhere"):
        ArtifactStore(root)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    ArtifactStore(tmp_path / "link")


def test_a_lock_that_is_a_link_is_refused(entry: Entry, tmp_path: Path) -> None:
    """It would be opened for writing, wherever it leads."""
    store = ArtifactStore(entry.folder.parents[2])
    lock = store.root / "locks" / f"{KEY}.lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BuildError, match="the lock cannot be opened"), store.lock(KEY):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_folders_that_a_step_or_a_runtime_writes_to_are_no_links(tmp_path: Path) -> None:
    """Checkpoints, compiled code and timings stay inside."""
    store = ArtifactStore(tmp_path / "cache")
    for folder in (store.training(KEY), store.compiled(KEY), store.cache("step")):
        if folder.is_dir():
            folder.rmdir()
        folder.symlink_to(tmp_path)
    assert not store.training(KEY).exists()
    assert not store.compiled(KEY).exists()
    assert store.cache("step").is_dir()
    assert not store.cache("step").is_symlink()


def test_others_may_not_write_to_a_new_cache(tmp_path: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        entry = stored(tmp_path / "cache")
    finally:
        os.umask(before)
    for folder in (entry.folder, *entry.folder.parents[:3]):
        assert folder.stat().st_mode & 0o022 == 0, folder


def test_an_entry_of_an_earlier_program_is_built_anew(entry: Entry) -> None:
    """It kept no seal; nothing is said of it."""
    (entry.folder / "link.sha256").unlink()
    assert find(entry) == (None, [])
