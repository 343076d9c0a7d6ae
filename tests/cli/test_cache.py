"""`pytest-perfgate cache`: what people and CI jobs see of it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from pytest_perfgate.building.artifact_cache import ArtifactStore, Stored
from pytest_perfgate.cli.main import main

SIZE = re.compile(r"2\.\d+ kB")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an artifact that was not used for ten days."""
    monkeypatch.chdir(tmp_path)
    store = ArtifactStore(tmp_path / ".perfgate")
    stored = Stored(
        kind="onnx", file="f", effect={}, structures=(), seconds=1.0, files={"suites/m.py": "0"}
    )
    with store.lock("k"), store.scratch() as folder:
        (folder / "f").write_bytes(b"x" * 2000)
        entry = store.add("k", folder, stored, about="digits: quantize(weights=int8)")
    at = time.time() - 10 * 24 * 3600
    os.utime(entry.folder / "link.json", (at, at))
    return entry.folder


def test_the_list_has_kind_size_age_and_what_it_rests_on(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, and the project's files on request."""
    assert main(["cache", "list", "--files"]) == 0
    line, file, total = capsys.readouterr().out.splitlines()
    assert SIZE.sub("SIZE", " ".join(line.split())) == (
        "onnx SIZE 10.0 days digits: quantize(weights=int8), rests on 1 file"
    )
    assert file.strip() == "suites/m.py"
    assert SIZE.sub("SIZE", total) == "1 entry, SIZE in .perfgate"
    assert cache.is_dir()


def test_verify_is_red_where_a_file_is_damaged(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file; a CI job sees the exit code. A cache that all can write is refused."""
    assert main(["cache", "verify"]) == 0
    assert capsys.readouterr().out == "1 entry, each as it was stored\n"
    (cache.parents[2] / "searches" / "s").mkdir(parents=True)
    assert main(["cache", "verify"]) == 0
    assert capsys.readouterr().out == (
        "1 entry, each as it was stored; 1 entry has no digest: 1 search\n"
    )
    (cache / "f").write_bytes(b"y" * 2000)
    assert main(["cache", "verify"]) == 1
    out = capsys.readouterr().out
    assert f"damaged: .perfgate/artifacts/k/{cache.name}/f (onnx digits: quantize" in out
    assert "1 of 1 entry damaged; the next session that needs one builds it anew; 1 entr" in out
    cache.parents[2].chmod(0o777)
    assert main(["cache", "verify"]) == 1
    assert "every user of this machine can write to the cache" in capsys.readouterr().err


def test_gc_lists_first_and_deletes_with_yes(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By age or size; with neither it asks for one."""
    assert main(["cache", "gc"]) == 1
    assert "pytest-perfgate cache gc --days 30" in capsys.readouterr().err
    assert main(["cache", "gc", "--days", "30", "--yes"]) == 0
    assert capsys.readouterr().out == "deleted 0 entries, 0 B\n"
    assert main(["cache", "gc", "--max-size", "1 kB"]) == 0
    assert "would delete 1 entry, 2." in capsys.readouterr().out
    assert cache.is_dir()
    assert main(["cache", "gc", "--days", "5", "--yes"]) == 0
    assert "deleted 1 entry, 2." in capsys.readouterr().out
    assert not cache.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--max-size", "5", "'5' has no unit"), ("--days", "-1", "such as 30"), ("--days", "x", "30")],
)
def test_an_age_or_size_that_is_none_is_refused(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is valid."""
    with pytest.raises(SystemExit):
        main(["cache", "gc", option, value])
    assert said in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty list."""
    assert main(["cache", "list", "--cache", "no/such"]) == 1
    assert "no/such: there is no cache here" in capsys.readouterr().err
