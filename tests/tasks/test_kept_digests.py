"""Digests of images are kept by the identity of their files, and never believed for long."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks import image_files, kept_digests
from pytest_perfgate.tasks.classification.data import ClassificationData
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.kept_digests import CHANGED, TRUSTED

SECOND = 10**9


class Clock:
    """The time of day, moved by a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.later = 10.0
        now = kept_digests.time.time_ns
        monkeypatch.setattr(
            "pytest_perfgate.tasks.kept_digests.time.time_ns",
            lambda: now() + int(self.later * SECOND),
        )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    """Ten seconds after all that a test writes, with a cache."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path / "cache"))
    return Clock(monkeypatch)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded."""
    names: list[str] = []
    decode = image_files.decode

    def counting(file: Path, alpha: Any = "drop") -> Any:
        names.append(file.name)
        return decode(file, alpha)

    monkeypatch.setattr(image_files, "decode", counting)
    return names


def draw(file: Path, level: int) -> None:
    """A transparent picture of one colour, as large whatever the colour."""
    Image.new("RGBA", (6, 4), (level, 0, 0, 128)).save(file)


def session(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Digests and notes as a new process has them."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    data = ClassificationData(ImageFiles(files), [0] * len(files), ["cat", "dog"])
    return data.digests, data.notes


@pytest.mark.usefixtures("clock")
def test_an_unchanged_file_is_decoded_once(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next session has the same digests and notes without decoding; one without a cache, and
    one that treats transparency otherwise, decode.
    """
    monkeypatch.setattr(kept_digests, "_CHUNK", 2)
    for index in range(5):
        draw(tmp_path / f"{index}.png", index)
    first = session(tmp_path)
    assert "transparent" in first[1][-1]
    assert len(decoded) == 5
    assert session(tmp_path) == first
    assert len(decoded) == 5
    ImageFiles(sorted(tmp_path.glob("*.png"))).known(lambda *_: None)
    assert len(decoded) == 5
    other = ImageFiles(sorted(tmp_path.glob("*.png")))
    other.alpha = "keep"
    other.known(lambda *_: None)
    assert len(decoded) == 10
    monkeypatch.delenv("PERFGATE_CACHE")
    assert session(tmp_path) == first
    assert len(decoded) == 15


def rewritten(file: Path) -> None:
    """As a program does that saves it again."""
    draw(file, 9)


def with_the_same_time(file: Path) -> None:
    """As an archive or a copying program does: the time of the last change of attributes tells."""
    before = file.stat()
    draw(file, 9)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


def replaced(file: Path) -> None:
    """By another file of its name."""
    draw(file.with_suffix(".new.png"), 9)
    file.with_suffix(".new.png").replace(file)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("change", [rewritten, with_the_same_time, replaced])
def test_a_changed_file_is_decoded_again(
    tmp_path: Path, decoded: list[str], change: Callable[[Path], None]
) -> None:
    """However it was changed, and no other file with it."""
    for index in range(3):
        draw(tmp_path / f"{index}.png", index)
    before, _ = session(tmp_path)
    change(tmp_path / "1.png")
    decoded.clear()
    after, notes = session(tmp_path)
    assert decoded == ["1.png"]
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, False, True]
    assert not any(CHANGED in note for note in notes)


def test_a_file_changed_while_it_was_read_is_not_kept(
    tmp_path: Path, clock: Clock, decoded: list[str]
) -> None:
    """Or within two seconds before: a later change could leave it the same time. Nor is a file of
    the future, or one of a format that another package may decode.
    """
    clock.later = 0
    draw(tmp_path / "fresh.png", 1)
    draw(tmp_path / "future.png", 1)
    Image.new("RGB", (4, 4)).save(tmp_path / "other.ppm")
    session(tmp_path)
    clock.later = 10
    os.utime(tmp_path / "future.png", (2**33, 2**33))
    session(tmp_path)
    decoded.clear()
    session(tmp_path)
    assert sorted(decoded) == ["future.png", "other.ppm"]


def test_content_is_compared_every_night(
    tmp_path: Path, clock: Clock, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that hides a change hides it for a day; it is said, once. A clock that was set
    back believes nothing.
    """
    monkeypatch.setattr(kept_digests, "_identity", lambda _: [1, 2, 3, 4])
    draw(tmp_path / "0.png", 1)
    before, _ = session(tmp_path)
    draw(tmp_path / "0.png", 2)
    assert session(tmp_path)[0] == before
    clock.later += TRUSTED
    after, notes = session(tmp_path)
    assert after != before
    assert f"1 of 1 images {CHANGED}" in notes
    decoded.clear()
    after, notes = session(tmp_path)
    assert not decoded
    assert not any(CHANGED in note for note in notes)
    clock.later = 0
    session(tmp_path)
    assert decoded == ["0.png"]


@pytest.mark.usefixtures("clock")
def test_a_damaged_entry_is_not_believed(tmp_path: Path, decoded: list[str]) -> None:
    """It is read again and written anew; a picture that cannot be decoded is an error as ever."""
    draw(tmp_path / "0.png", 1)
    first = session(tmp_path)
    (entry,) = (tmp_path / "cache" / "digests").glob("*/*.json")
    sound = entry.read_text()
    for damaged in (sound[:-1], sound.replace('"shape": [', '"shape": [1'), ""):
        entry.write_text(damaged)
        decoded.clear()
        assert session(tmp_path) == first
        assert decoded == ["0.png"]
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be decoded"):
        session(tmp_path)


@pytest.mark.usefixtures("clock")
def test_digests_are_those_of_the_pixels(tmp_path: Path) -> None:
    """Kept or not, and also for a picture in another file."""
    draw(tmp_path / "0.png", 1)
    (known,) = session(tmp_path)[0]
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., 0] = 1
    assert known == image_files.digest(pixels) == session(tmp_path)[0][0]
