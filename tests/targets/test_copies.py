"""The files that a device gets: a project's own, and this package with its entry points."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.targets import copies


def written(root: Path, *names: str) -> None:
    """Files that hold their own names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_a_project_goes_without_its_caches_and_environments(tmp_path: Path) -> None:
    """Data that git ignores goes, too: what a suite reads is not known before it is read."""
    written(
        tmp_path,
        *("suites/a/recipes.toml", "data/1.png", ".git/config", "env/pyvenv.cfg", "env/lib.py"),
        *("reports/1.json", "suites/a/__pycache__/x.pyc"),
    )
    (tmp_path / "linked.png").symlink_to("data/1.png")
    files = copies.of_project(tmp_path, [tmp_path / "reports"])
    assert set(files.digests) == {"suites/a/recipes.toml", "data/1.png", "linked.png"}
    assert files.digests["linked.png"] == files.digests["data/1.png"]


def test_nothing_hidden_goes_unless_it_is_named(tmp_path: Path) -> None:
    """Secrets lie in `.env` and in hidden folders. A named folder has what is visible in it."""
    written(
        tmp_path,
        *(".env", "suites/a/.env", "suites/a/code.py", ".aws/credentials", ".data/1.png"),
        *(".data/.env", ".models/a.onnx", ".models/b.onnx"),
    )
    named = [tmp_path / ".data", tmp_path / ".models/a.onnx"]
    files = copies.of_project(tmp_path, [], named)
    assert set(files.digests) == {"suites/a/code.py", ".data/1.png", ".models/a.onnx"}


def test_empty_folders_go_and_links_to_folders_of_named_data(tmp_path: Path) -> None:
    """A folder can be a class of images: one that is missing there moves the numbers of others."""
    written(tmp_path / "elsewhere", "1.png")
    root = tmp_path / "project"
    written(root, "data/ant/1.png")
    (root / "data/bee").mkdir()
    (root / "data/cow").symlink_to(tmp_path / "elsewhere")
    (root / "data/loop").symlink_to(root)
    assert copies.of_project(root, []).folders == [".", "data", "data/ant", "data/bee"]
    files = copies.of_project(root, [], [root / "data"])
    assert files.folders == [".", "data", "data/ant", "data/bee", "data/cow"]
    assert set(files.digests) == {"data/ant/1.png", "data/cow/1.png"}


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """One error with its path, and no traceback."""
    written(tmp_path, "data/1.png")
    (tmp_path / "data/1.png").chmod(0)
    with pytest.raises(PerfgateError, match=r"data/1.png: it cannot be copied"):
        copies.of_project(tmp_path, [])


def test_a_file_that_goes_while_it_is_copied_is_named(tmp_path: Path) -> None:
    """It was there when its digest was taken."""
    written(tmp_path, "1.png")
    files = copies.of_project(tmp_path, [])
    assert (files.size("1.png"), b"".join(files.parts("1.png"))) == (5, b"1.png")
    (tmp_path / "1.png").unlink()
    with pytest.raises(PerfgateError, match=r"1.png: it cannot be copied to a target: No such"):
        list(files.parts("1.png"))


def test_the_package_goes_with_its_entry_points() -> None:
    """Names of runtimes and steps are found through them."""
    names = set(copies.of_package().digests)
    assert "pytest_perfgate/device/__main__.py" in names
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)
    assert {"numpy", "pydantic"} <= set(copies.needs())
