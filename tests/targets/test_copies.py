"""The files that a device gets: a project's own, and this package with its entry points."""

from __future__ import annotations

from pathlib import Path

from pytest_perfgate.targets import copies


def test_a_project_goes_without_its_caches_and_environments(tmp_path: Path) -> None:
    """Data that git ignores goes, too: what a suite reads is not known before it is read."""
    for name in (
        "suites/a/recipes.toml",
        "data/1.png",
        ".git/config",
        "env/pyvenv.cfg",
        "env/lib.py",
        "reports/1.json",
        "suites/a/__pycache__/x.pyc",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "linked.png").symlink_to("data/1.png")
    files = copies.of_project(tmp_path, [tmp_path / "reports"])
    assert set(files.digests) == {"suites/a/recipes.toml", "data/1.png", "linked.png"}
    assert files.digests["linked.png"] == files.digests["data/1.png"]


def test_the_package_goes_with_its_entry_points() -> None:
    """Names of runtimes and steps are found through them."""
    names = set(copies.of_package().digests)
    assert "pytest_perfgate/device/__main__.py" in names
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)
    assert {"numpy", "pydantic"} <= set(copies.needs())
