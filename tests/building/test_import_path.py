"""Which tree a worker imports from: that of its arm's version, whatever is on the path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENTER = """\
import sys
from pathlib import Path
from types import SimpleNamespace

from pytest_perfgate.building.import_path import enter
from pytest_perfgate.records.code_tree import CodeTree

working, top = Path(sys.argv[1]), Path(sys.argv[2])
paths = tuple(Path(text) for text in sys.argv[4:])
tree = CodeTree(top, working, "main (abc)") if sys.argv[3] == "base" else None
enter(SimpleNamespace(root=top if tree else working, import_path=paths, tree=tree))
"""

FINDER = """\
import sys
from importlib.util import spec_from_file_location


class Editable:  # what some build backends install in place of a path
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "package":
            return spec_from_file_location(
                name, {init!r}, submodule_search_locations=[{folder!r}]
            )


sys.meta_path.insert(0, Editable)
"""


def write(folder: Path, version: str) -> Path:
    """A package in src/, a library beside it, and folders without __init__.py."""
    for name in ("src/package/__init__.py", "src/package/part.py", "libs/common.py", "lone/m.py"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"VERSION = {version!r}\n")
    return folder


@pytest.fixture
def working(tmp_path: Path) -> Path:
    """The working tree; the base lies in its cache, as in a session."""
    write(tmp_path / "project" / ".perfgate" / "base" / "tree", "base")
    return write(tmp_path / "project", "working")


def imported(
    working: Path, code: str, *paths: Path, version: str = "base", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Code that runs after a worker has entered a version of the project."""
    top = working / ".perfgate" / "base" / "tree"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", ENTER + code, working, top, version, *paths]
    return subprocess.run(
        list(map(str, command)),
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


READ = """
from package import VERSION, part
import common
import lone.m
print(VERSION, part.VERSION, common.VERSION, lone.m.VERSION)
"""


@pytest.mark.parametrize("version", ["working", "base"])
@pytest.mark.parametrize("way", ["PYTHONPATH", "pythonpath", "finder"])
def test_every_module_comes_from_the_arms_own_tree(
    working: Path, tmp_path: Path, version: str, way: str
) -> None:
    """However the working tree is on the path: src/, a sibling library, a namespace package."""
    folders = [working / "src", working / "libs", working]
    if way == "finder":
        package = working / "src" / "package"
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(
            FINDER.format(init=str(package / "__init__.py"), folder=str(package))
        )
        folders = [site, working / "libs", working]
    if way == "pythonpath":
        done = imported(working, READ, *folders, version=version)
    else:
        path = os.pathsep.join(map(str, folders))
        done = imported(working, READ, version=version, PYTHONPATH=path)
    assert done.stdout.split() == [version] * 4, done.stderr


PROGRAM = """
import subprocess
print(subprocess.check_output([sys.executable, "-c", "import package; print(package.VERSION)"]))
"""


@pytest.mark.parametrize("version", ["working", "base"])
def test_programs_that_an_arm_starts_import_from_its_own_tree(
    working: Path, tmp_path: Path, version: str
) -> None:
    """A recipe's server is one: by PYTHONPATH, and by an editable install behind it. What else the
    variable had stays.
    """
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        f"import sys\nsys.path.append({str(working / 'src')!r})\n"
    )
    for folders in ([working / "src"], [site]):
        path = os.pathsep.join(map(str, folders))
        done = imported(working, PROGRAM, version=version, PYTHONPATH=path)
        assert version in done.stdout, done.stderr


@pytest.mark.parametrize(
    "lost", ["src/package/part.py", "libs/common.py", "lone/m.py"], ids=["part", "module", "folder"]
)
def test_a_module_that_the_base_does_not_have_is_an_error(working: Path, lost: str) -> None:
    """It names the module, where it came from, and the commit; never the working tree's code."""
    file = working / ".perfgate" / "base" / "tree" / lost
    file.unlink()
    if not any(file.parent.iterdir()):
        file.parent.rmdir()
    done = imported(working, READ, working / "src", working / "libs", working)
    assert done.stdout == ""
    if lost != "src/package/part.py":  # inside the base's own package, python finds none
        assert "the base would run the working tree's code" in done.stderr
        assert str(working / lost.split("/", maxsplit=1)[0]) in done.stderr
        assert "main (abc)" in done.stderr


def test_an_installed_copy_does_not_stand_for_the_base(working: Path, tmp_path: Path) -> None:
    """Not editable, it is the same for both versions; libraries of others are fine."""
    site = tmp_path / "site-packages"
    write(tmp_path / "copy", "installed")
    (tmp_path / "copy" / "src").rename(site)
    (site / "library.py").write_text("VERSION = 'library'\n")
    done = imported(working, "import library\nprint(library.VERSION)", PYTHONPATH=str(site))
    assert done.stdout.split() == ["library"]
    done = imported(working, "import package", PYTHONPATH=str(site))
    assert "the module 'package' comes from" in done.stderr
    assert "pip install -e ." in done.stderr


def test_an_environment_inside_the_project_is_not_the_project(working: Path) -> None:
    """Libraries of `.venv` in the repository are those of both versions."""
    site = working / ".venv" / "lib" / "site-packages"
    site.mkdir(parents=True)
    (site / "library.py").write_text("VERSION = 'library'\n")
    done = imported(working, "import library\nprint(library.VERSION)", PYTHONPATH=str(site))
    assert done.stdout.split() == ["library"]
