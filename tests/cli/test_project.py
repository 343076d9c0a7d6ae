"""Commands find the project and its suites from any folder inside."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest
from pytest_perfgate.cli.history import folder_option
from pytest_perfgate.cli.main import main
from pytest_perfgate.cli.options import add_folder
from pytest_perfgate.cli.project import SUITES, locate

from tests.suite.texts import FP32, SUITE


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which a session ran, with one suite in the usual place."""
    root = tmp_path / "project"
    (root / ".perfgate").mkdir(parents=True)
    (root / "suites" / "cars" / "images").mkdir(parents=True)
    (root / "suites" / "cars" / "recipes.toml").write_text(SUITE + FP32)
    (root / "source").mkdir()
    return root


@pytest.mark.parametrize(
    ("start", "folder"),
    [
        ("", "suites"),
        ("suites", "suites"),
        ("suites/cars", "suites/cars"),
        ("suites/cars/images", "suites/cars"),
        ("source", "suites"),
    ],
)
def test_the_root_is_where_sessions_ran(project: Path, start: str, folder: str) -> None:
    """So that the same cache, reports and baselines are used from every folder."""
    assert locate(project / start, SUITES) == (project, project / folder)


def test_suites_elsewhere_are_found(project: Path) -> None:
    """Below the root, where there is no folder of the usual name."""
    (project / "suites").rename(project / "perf")
    assert locate(project / "source", SUITES) == (project, project)
    assert locate(project / "perf", SUITES) == (project, project / "perf")


def test_a_folder_that_is_named_is_taken(project: Path) -> None:
    """Relative to the working folder, whether it is there or not."""
    assert locate(project, Path("gone")) == (project, project / "gone")


@pytest.mark.parametrize(("start", "above"), [("", ""), ("suites/cars", "../..")])
def test_folders_of_the_project_are_found_from_inside(
    project: Path, start: str, above: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baselines, the cache and the history that sessions use, not new ones in a subfolder."""
    monkeypatch.chdir(project / start)
    names = {"baselines": "baselines", "cache": ".perfgate", "reports": "reports"}
    parser = ArgumentParser()
    for name, folder in names.items():
        add_folder(parser, f"--{name}", folder, "")
    folder_option(parser, "--history")
    arguments = parser.parse_args(["--reports=mine"])
    assert arguments.baselines == Path(above, "baselines")
    assert arguments.cache == Path(above, ".perfgate")
    assert arguments.reports == Path("mine")
    assert arguments.history.folder == Path(above, "reports/history")


def test_freeze_names_the_extra_that_it_needs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tomlkit edits the suite file."""
    monkeypatch.chdir(project)
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    assert main(["freeze", "fp32"]) == 1
    error = capsys.readouterr().err
    assert "needs the package 'tomlkit'" in error
    assert "pip install 'pytest-perfgate[search]'" in error
