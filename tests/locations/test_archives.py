"""Archives are unpacked into their folder, and nowhere else."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations import archives


def packed(tmp_path: Path, suffix: str, name: str, link: str = "") -> Path:
    """An archive with one file, or with a link to `link`."""
    file = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w") as out:
            info = zipfile.ZipInfo(name)
            if link:
                info.external_attr = 0o120777 << 16
            out.writestr(info, link or "content")
        return file
    with tarfile.open(file, "w:gz" if suffix == ".tar.gz" else "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 0 if link else 7
        if link:
            entry.type, entry.linkname = tarfile.SYMTYPE, link
        tar.addfile(entry, None if link else io.BytesIO(b"content"))
    return file


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_files_are_below_the_folder(tmp_path: Path, suffix: str) -> None:
    """Of each kind of archive."""
    (tmp_path / "into").mkdir()
    archives.unpack(packed(tmp_path, suffix, "val/cats/1.png"), tmp_path / "into")
    assert (tmp_path / "into" / "val" / "cats" / "1.png").read_bytes() == b"content"


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize(
    ("name", "link"), [("../out", ""), ("/etc/out", ""), ("a/../../out", ""), ("l", "/etc/passwd")]
)
def test_an_entry_that_leaves_it_is_refused(
    tmp_path: Path, suffix: str, name: str, link: str
) -> None:
    """By `..`, by an absolute path, by a link; nothing is written outside."""
    (tmp_path / "into").mkdir()
    with pytest.raises(FetchError) as caught:
        archives.unpack(packed(tmp_path, suffix, name, link), tmp_path / "into")
    assert "below the archive's top" in caught.value.valid
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_broken_or_too_large_archive_is_named(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is cut, and one whose content no disk has room for."""
    (tmp_path / "into").mkdir()
    archive = packed(tmp_path, suffix, "x")
    monkeypatch.setattr(archives, "free_space", lambda _: 3)
    with pytest.raises(FetchError, match="unpacked it has 7 bytes, and the disk has 3 left"):
        archives.unpack(archive, tmp_path / "into")
    archive.write_bytes(archive.read_bytes()[:30])
    with pytest.raises(FetchError, match="the archive is broken"):
        archives.unpack(archive, tmp_path / "into")
