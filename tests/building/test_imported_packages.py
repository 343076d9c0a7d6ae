"""Packages that a project's code imports count for what is built: their versions are its code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pytest_perfgate.building import imported_packages
from pytest_perfgate.building.artifact_cache import ArtifactStore, Stored
from pytest_perfgate.building.imported_packages import unchanged
from pytest_perfgate.building.package_versions import version_now
from pytest_perfgate.building.project_code import Watch

IMPORTS = """\
import importlib, json, sys
from pathlib import Path
from pytest_perfgate.building.project_code import Watch

watch = Watch(Path.cwd())
with watch.reading_data():
    import of_data
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(watch.packages()))
"""
SITE = ("layers", "lazy", "behind", "of_data", "of_both")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project beside installed packages: each has a version but `unversioned`."""
    site, project = tmp_path / "site-packages", tmp_path / "project"
    for name in (*SITE, "unversioned"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("import behind\n" if name == "layers" else "")
    for name in SITE:
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n{name}-1.0.dist-info/METADATA,,\n")
    project.mkdir()
    (project / "model.py").write_text(
        "from layers import *\nimport unversioned, of_both\ndef forward():\n    import lazy\n"
    )
    return project


def packages(project: Path, *modules: str) -> dict[str, str]:
    """What counts in a process that has loaded data and then imported these modules."""
    path = [".", str(project.parent / "site-packages")]
    program = f"import sys; sys.path[:0] = {path}\n{IMPORTS}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *modules],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def test_packages_that_the_projects_modules_run_count_with_their_versions(project: Path) -> None:
    """Those of import statements inside functions too, and those behind packages; also one that the
    loading of data has imported, which a package behind the model may use. A package without a
    version counts by its source.
    """
    versions = packages(project, "model")
    source = versions.pop("unversioned")
    assert versions.pop("numpy")
    assert versions == dict.fromkeys(SITE, "1.0")
    (project.parent / "site-packages/unversioned/__init__.py").write_text("GAIN = 2\n")
    assert packages(project, "model")["unversioned"] != source


def test_no_package_counts_where_no_module_of_the_project_runs(project: Path) -> None:
    """Versions of what this project itself uses are in the keys."""
    assert packages(project, "layers") == {}


def test_a_part_of_a_package_that_no_import_finds_is_no_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Native modules of some packages are loaded under a top-level name: in another process they
    are not, and nothing would be found again.
    """
    import _pytest

    part = ModuleType("_part_of_a_package")
    part.__spec__ = _pytest.__spec__
    monkeypatch.setitem(sys.modules, part.__name__, part)
    assert imported_packages.versions_of_imported({part.__name__}).keys() == {"numpy"}


def test_another_version_is_found_out() -> None:
    """Also one that is gone."""
    versions = imported_packages.versions_of_imported({"pytest", "xml", "pytest_perfgate"})
    assert versions.keys() == {"numpy", "pytest"}
    assert unchanged(versions)
    assert not unchanged({**versions, "pytest": "0"})
    assert not unchanged({"no-such-distribution": "1.0"})


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        ("", True),  # of an index, where a version is built once
        ('{"url": "file:///lib", "dir_info": {}}', False),
        ('{"url": "https://host/lib.git", "vcs_info": {"vcs": "git"}}', False),
        ('{"url": "file:///lib", "dir_info": {"editable": true}}', True),  # its files count
    ],
    ids=["index", "folder", "repository", "editable"],
)
def test_a_package_that_was_built_anew_under_its_version_is_another(
    origin: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install ./lib` after an edit, without another version."""
    place = tmp_path / "own_layers-0.1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: own-layers\nVersion: 0.1\n")
    if origin:
        (place / "direct_url.json").write_text(origin)
    monkeypatch.syspath_prepend(tmp_path)
    texts = []
    for digest in ("one", "two"):
        (place / "RECORD").write_text(f"own_layers/__init__.py,sha256={digest},1\n")
        texts.append(version_now("own-layers"))
    assert texts[0].startswith("0.1")
    assert (texts[0] == texts[1]) == same


def test_an_entry_is_not_found_under_other_versions_and_both_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that versions of a package can be compared without building each time."""
    (tmp_path / "code.py").write_text("")
    files = {"code.py": Watch(tmp_path).digest("code.py")}
    installed = {"layers": "1.0"}
    monkeypatch.setattr(Watch, "packages", lambda _: dict(installed))
    monkeypatch.setattr(imported_packages, "version_now", lambda name: installed[name])
    store, watch = ArtifactStore(tmp_path / "cache"), Watch(tmp_path)

    def add(effect: str) -> None:
        assert store.find("key", watch) is None
        with store.scratch() as folder:
            stored = Stored(
                kind="onnx",
                file="",
                effect={"by": effect},
                structures=(),
                seconds=0.0,
                files=files,
            )
            store.add("key", folder, stored)

    add("old")
    installed["layers"] = "2.0"
    add("new")
    for version, effect in (("1.0", "old"), ("2.0", "new")):
        installed["layers"] = version
        entry = store.find("key", watch)
        assert entry is not None
        assert entry.stored.effect == {"by": effect}
