"""What a suite names of the file system, and where its modules are imported from."""

from __future__ import annotations

import site
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.suite import reading
from pytest_perfgate.targets.named_paths import import_folders, named_by

from tests.conftest import Project
from tests.squares import HEAD, PLAIN


@pytest.fixture
def suite(project: Project) -> Suite:
    """A suite as it is read."""
    project.write(HEAD + PLAIN)
    read = reading.read(project.root / "suites/tiny/recipes.toml", project.root)
    assert read.suite is not None
    return read.suite


def test_files_that_a_suite_names_are_found_in_all_of_its_tables(suite: Suite) -> None:
    """Relative to its folder or to the project's root; what does not exist is no path."""
    (suite.root / ".models").mkdir()
    (suite.root / ".models" / "big.onnx").write_text("")
    data = {"validation": {"images": ["validation", "nowhere"], "model": ".models/big.onnx"}}
    named = named_by(replace(suite, data=data))
    assert suite.root / ".models" / "big.onnx" in named
    assert not any(path.name == "nowhere" for path in named)


def test_modules_come_from_the_copy_and_not_from_an_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders of editable installs, of PYTHONPATH and `src` go with the project, in that order
    after pytest's own; those outside of it and those of environments do not.
    """
    for name in ("src", "python", "lib", "own", ".venv/lib"):
        (tmp_path / "project" / name).mkdir(parents=True)
    packages = tmp_path / "packages"
    packages.mkdir()
    root = tmp_path / "project"
    (packages / "mine.pth").write_text(f"import sys\n{root}/python\n{root}/.venv/lib\n/usr/lib\n")
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(packages)])
    monkeypatch.setenv("PYTHONPATH", f"{root}/lib:/usr/lib:lib")
    folders = import_folders(root, (root / "own",))
    assert folders == (root / "own", root / "lib", root / "python", root / "src")
