"""What lies in a cache: listed, verified, and removed where no session uses it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pytest_perfgate.building import cache_contents
from pytest_perfgate.building.artifact_cache import ArtifactStore, Entry, Stored
from pytest_perfgate.building.cache_contents import collect, items, removable, verify
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.machine.held_folders import held_folder

DAY = 24 * 3600.0


class Cache:
    """A cache with entries of chosen ages and sizes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = ArtifactStore(root)

    def add(self, key: str, *, days: float = 0.0, size: int = 1000, kind: str = "onnx") -> Entry:
        """An entry that was used `days` ago."""
        about = Stored(
            kind=kind, file="f", effect={}, structures=(), seconds=1.0, files={"m.py": ""}
        )
        with self.store.lock(key), self.store.scratch() as folder:
            (folder / "f").write_bytes(b"x" * size)
            entry = self.store.add(key, folder, about, about=f"digits: {key}")
        self.age(entry.folder / "link.json", days)
        return entry

    def age(self, path: Path, days: float) -> None:
        """A file or folder as if it was written `days` ago."""
        at = time.time() - days * DAY
        os.utime(path, (at, at))

    def going(self, **limits: float) -> list[str]:
        """Names of what can be removed."""
        return [item.about.removeprefix("digits: ") for item in removable(self.root, **limits)[0]]

    def held(self, **limits: float) -> list[str]:
        """Names of what stays for a running session."""
        return [item.about.removeprefix("digits: ") for item in removable(self.root, **limits)[1]]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


def test_every_part_is_listed_with_kind_size_age_and_what_it_rests_on(cache: Cache) -> None:
    """The one that was not used for the longest time first."""
    cache.add("old", days=3)
    cache.add("new", kind="evaluation", size=10)
    (cache.root / "runtime" / "new").mkdir()
    (cache.root / "runtime" / "new" / "code").write_bytes(b"x" * 5000)
    cache.store.cache("tensorrt")
    (cache.root / "searches" / "s").mkdir(parents=True)
    (cache.root / "crashes").mkdir()
    (cache.root / "crashes" / "1.txt").write_text("Traceback")
    (cache.root / "artifacts" / ".new-1").mkdir()
    listed = items(cache.root)
    first, evaluation = listed[0], next(item for item in listed if item.kind == "evaluation")
    assert (first.kind, first.about, first.files) == ("onnx", "digits: old", ("m.py",))
    assert first.used == pytest.approx(time.time() - 3 * DAY, abs=60)
    assert 1000 < first.size < 3000
    assert 5000 < evaluation.size < 7000  # with what its runtime compiled
    kinds = {item.kind for item in listed}
    assert kinds == {"onnx", "evaluation", "step cache", "search", "crash", "unfinished"}


def test_damage_is_found_by_digest_and_nothing_is_removed(cache: Cache) -> None:
    """Each damaged entry, with the file that shows it. What has no digests is counted by itself:
    `items` lists as many entries.
    """
    good, bad, earlier = cache.add("good"), cache.add("bad"), cache.add("earlier")
    (earlier.folder / "link.sha256").unlink()
    (cache.root / "searches" / "s").mkdir(parents=True)
    verified = verify(cache.root)
    assert (verified.compared, verified.damages) == (2, ())
    assert verified.uncompared == {"search": 1, "earlier version": 1}
    assert verified.compared + verified.uncompared.total() == len(items(cache.root))
    (bad.folder / "f").write_bytes(b"y" * 1000)
    verified = verify(cache.root)
    (damage,) = verified.damages
    assert (verified.compared, damage.item.about, damage.file) == (2, "digits: bad", "f")
    assert good.folder.is_dir()
    assert bad.folder.is_dir()


def test_age_and_size_say_what_goes(cache: Cache) -> None:
    """Of a size, what was used last stays; results of searches stay in any case."""
    for key, days in (("c", 1.0), ("a", 40.0), ("b", 20.0)):
        cache.add(key, days=days, size=100_000)
    (cache.root / "searches" / "s").mkdir(parents=True)
    assert cache.going(older=30 * DAY) == ["a"]
    assert cache.going(older=10 * DAY) == ["a", "b"]
    assert cache.going(largest=250_000) == ["a"]
    assert cache.going(largest=0) == ["a", "b", "c"]
    assert cache.going(largest=1e9) == []
    going, _ = removable(cache.root, largest=150_000)
    assert collect(cache.root, going) == []
    assert [item.about for item in items(cache.root)] == ["digits: c", "values that were chosen"]


def test_what_a_running_session_may_use_stays(cache: Cache) -> None:
    """All that was used since the session began, and what several keys share."""
    cache.add("before", days=2)
    (cache.store.cache("tensorrt") / "timings").write_bytes(b"x")
    cache.add("lately", days=0.5)
    with held_folder(cache.root / "logs") as folder:
        cache.age(folder / ".held", 1)
        assert cache.going(largest=0) == ["before"]
        assert cache.held(largest=0) == ["lately", "what speeds up tensorrt"]
        going, _ = removable(cache.root, largest=0)
        assert collect(cache.root, going) == []
        assert folder.is_dir()
    assert cache.going(largest=0) == ["lately", "what speeds up tensorrt"]


def test_what_is_found_or_built_meanwhile_stays(cache: Cache) -> None:
    """Between the list and the removal a session may find an entry, or hold its lock."""
    result, locked = cache.add("found", days=9), cache.add("locked", days=9)
    going, _ = removable(cache.root, largest=0)
    assert ArtifactStore(cache.root).find("found", Watch(cache.root)) == result
    with cache.store.lock("locked"):
        stayed = collect(cache.root, going)
    assert {item.about for item in stayed} == {"digits: found", "digits: locked"}
    assert result.folder.is_dir()
    assert locked.folder.is_dir()
    going, _ = removable(cache.root, largest=0)
    assert collect(cache.root, going) == []
    assert items(cache.root) == []


def test_a_link_is_removed_and_not_what_it_leads_to(cache: Cache, tmp_path: Path) -> None:
    """Whoever put it there."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "f").write_text("kept")
    (cache.root / "artifacts" / "k").symlink_to(tmp_path / "precious")
    going, _ = removable(cache.root, largest=-1)
    collect(cache.root, going)
    assert not (cache.root / "artifacts" / "k").is_symlink()
    assert (tmp_path / "precious" / "f").read_text() == "kept"


def test_what_killed_sessions_left_goes(cache: Cache) -> None:
    """Folders of logs and checkouts, once nobody holds them."""
    for name in ("logs", "base"):
        folder = cache.root / name / "left"
        folder.mkdir(parents=True)
        (folder / ".held").touch()
        cache.age(folder, 1)
    collect(cache.root, [])
    assert not list((cache.root / "logs").iterdir())
    assert not list((cache.root / "base").iterdir())
    assert cache_contents.items(cache.root) == []
