"""What a project's own code reads besides opened files of the project makes a build anew."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_perfgate.building.file_digests import Digests
from pytest_perfgate.building.project_code import Watch


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, beside which a file of settings lies; temporary files are elsewhere."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    root = tmp_path / "project"
    (root / "weights").mkdir(parents=True)
    (root / "weights" / "001.pt").write_text("old")
    (root / "settings.json").write_text("{}")
    (root / "tool.py").write_text("open('settings.json').read()")
    (tmp_path / "settings.yaml").write_text("threshold: 0.5")
    return root


def newest(root: Path) -> None:
    """Reads the checkpoint of the greatest number."""
    sorted((root / "weights").glob("*.pt"))[-1].read_text()


def optional(root: Path) -> None:
    """Reads a file where it is there."""
    try:
        (root / "local.cfg").read_text()
    except FileNotFoundError:
        return


def add_checkpoint(root: Path) -> None:
    """A newer one."""
    (root / "weights" / "002.pt").write_text("new")


def run_tool(root: Path) -> None:
    """Starts a program of the project."""
    subprocess.run([sys.executable, "-S", "tool.py"], cwd=root, check=True)


READS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "variable": (
        lambda _: os.environ.get("VARIANT"),
        lambda _: os.environ.__setitem__("VARIANT", "large"),
    ),
    "no variable": (lambda _: os.getenv("OTHER"), lambda _: os.environ.pop("OTHER")),
    "settings outside": (
        lambda root: (root.parent / "settings.yaml").read_text(),
        lambda root: (root.parent / "settings.yaml").write_text("threshold: 0.9"),
    ),
    "newest of a folder": (newest, add_checkpoint),
    "a file that is not there": (optional, lambda root: (root / "local.cfg").write_text("x")),
    "code of a program": (run_tool, lambda root: (root / "tool.py").write_text("")),
    "settings of a program": (run_tool, lambda root: (root / "settings.json").write_text("[]")),
}


@pytest.mark.parametrize("kind", READS)
def test_what_own_code_reads_makes_a_build_anew(
    kind: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment variables, files outside the project, names in folders, absent files, and what
    its programs read.
    """
    monkeypatch.setenv("OTHER", "1")
    monkeypatch.delenv("VARIANT", raising=False)
    read, change = READS[kind]
    watch = Watch(project)
    watch.listen()
    read(project)
    files = watch.files()
    assert Digests(project).unchanged(files)
    change(project)
    assert not Digests(project).unchanged(files)


def test_what_frameworks_and_the_machine_are_asked_makes_nothing_anew(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that packages read, credentials, settings of the system, hidden folders, pictures;
    and folders of data that were listed for data alone.
    """
    (project.parent / ".cache").mkdir()
    for name in (".cache/state.json", "picture.png"):
        (project.parent / name).write_text("x")
    monkeypatch.setenv("SERVICE_TOKEN", "secret")
    watch = Watch(project)
    library = str(project / "site-packages" / "library.py")
    code = "import os; os.environ.get('LIBRARY_OPTION')"
    exec(compile(code, library, "exec"), {})  # noqa: S102 - of this test, under another name
    assert os.environ["SERVICE_TOKEN"]
    for file in (project.parent / ".cache/state.json", project.parent / "picture.png"):
        file.read_bytes()
    Path("/etc/passwd").read_bytes()
    assert os.environ.copy().keys() == os.environ.keys()
    with watch.reading_data():
        newest(project)
    names = watch.files_without([project / "weights"])
    assert not [name for name in names if name.startswith(("$", "/etc"))]
    assert not [name for name in names if name.endswith(("state.json", "picture.png", "?"))]
    assert [name for name in watch.files() if name == "weights/?"]


def test_a_copy_of_all_variables_makes_nothing_anew_in_the_next_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own code starts a program with the environment and one variable more: what a CI system or a
    shell says of a run differs in each, and is no input. The others are.
    """
    monkeypatch.setenv("GITHUB_RUN_ID", "1")
    monkeypatch.setenv("VARIANT", "small")
    watch = Watch(project)
    watch.listen()
    assert {**os.environ, "MORE": "1"}["VARIANT"] == "small"
    files = watch.files()
    for name in ("GITHUB_RUN_ID", "SHLVL", "_", "SSH_CONNECTION"):
        monkeypatch.setenv(name, "another")
    assert Digests(project).unchanged(files)
    monkeypatch.setenv("VARIANT", "large")
    assert not Digests(project).unchanged(files)


def test_a_file_that_a_build_writes_itself_is_not_looked_for_again(project: Path) -> None:
    """A cache of the project's own: it was not there, and is now."""
    watch = Watch(project)
    optional(project)
    (project / "local.cfg").write_text("computed")
    optional(project)
    assert Digests(project).unchanged(watch.files())
