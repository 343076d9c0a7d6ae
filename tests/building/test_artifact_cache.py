"""A cached file is used only while it is the file that was stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_perfgate.building.artifact_cache import ArtifactStore, Entry, Stored
from pytest_perfgate.building.project_code import Watch

KEY = "k"
EVALUATION = b'{"accuracy": 0.8125}'


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """An evaluation with its predictions, as a worker stores them."""
    store = ArtifactStore(tmp_path / "cache")
    stored = Stored(
        kind="evaluation", file="evaluation.json", effect={}, structures=(), seconds=1.0, files={}
    )
    with store.scratch() as folder:
        (folder / "evaluation.json").write_bytes(EVALUATION)
        (folder / "predictions.npz").write_bytes(bytes(range(256)))
        return store.add(KEY, folder, stored)


def find(entry: Entry) -> tuple[Entry | None, list[str]]:
    """What another session finds, and what it says of it."""
    root = entry.folder.parents[2]
    store = ArtifactStore(root)
    return store.find(KEY, Watch(root)), store.damaged


def test_an_entry_is_found_as_it_was_stored(entry: Entry) -> None:
    """Nothing is said of it."""
    assert find(entry) == (entry, [])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, len(EVALUATION) - 1), bit=st.integers(0, 7))
def test_no_changed_bit_is_used(entry: Entry, at: int, bit: int) -> None:
    """One digit of an accuracy would be the accuracy from then on."""
    content = bytearray(EVALUATION)
    content[at] ^= 1 << bit
    file = entry.folder / "evaluation.json"
    file.write_bytes(content)
    try:
        found, damaged = find(entry)
    finally:
        file.write_bytes(EVALUATION)
    assert found is None
    assert len(damaged) == 1
    assert "evaluation.json was changed or cut: built anew" in damaged[0]


def test_a_cut_file_beside_the_main_one_is_built_anew(entry: Entry) -> None:
    """Predictions are compared with the reference's: they count as much."""
    (entry.folder / "predictions.npz").write_bytes(b"")
    found, damaged = find(entry)
    assert found is None
    assert "predictions.npz" in damaged[0]


def test_a_link_in_place_of_a_file_is_built_anew(entry: Entry, tmp_path: Path) -> None:
    """What it leads to could change after the look, though it is equal now."""
    file = entry.folder / "evaluation.json"
    other = tmp_path / "elsewhere.json"
    file.replace(other)
    file.symlink_to(other)
    assert find(entry)[0] is None


def test_an_entry_without_digests_is_built_anew(entry: Entry) -> None:
    """Earlier programs kept none."""
    stored = entry.stored.model_copy(update={"contents": {}})
    (entry.folder / "link.json").write_text(stored.model_dump_json())
    assert find(entry)[0] is None
