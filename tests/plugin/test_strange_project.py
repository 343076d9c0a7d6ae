"""A project that has this project's names for itself: installing the plugin changes nothing there.

The wheel is built and installed into an environment of its own, beside the libraries of this one
but without its editable install.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FILES = {
    "pytest.ini": "[pytest]\n",
    "harness/__init__.py": "ANSWER = 42\n",
    "harness/tools.py": "ANSWER = 42\n",
    "perfgate/__init__.py": "ANSWER = 43\n",
    "perfgate/plugin.py": "",
    "conftest.py": """\
import pytest


def pytest_addoption(parser):
    group = parser.getgroup("perfgate", "a group of the project")
    group.addoption("--performance", default="low")


@pytest.fixture
def budget(request):
    return request.config.getoption("--performance")
""",
    "test_own.py": """\
import pytest

from harness.tools import ANSWER
from perfgate import ANSWER as OTHER


def test_packages():
    assert (ANSWER, OTHER) == (42, 43)


def test_fixture(budget):
    assert budget == "high"


@pytest.mark.parametrize("budget", [1, 2])
def test_parameter(budget):
    assert budget in {1, 2}


class TestOfAClass:
    @pytest.fixture
    def budget(self):
        return "of the class"

    def test_fixture(self, budget):
        assert budget == "of the class"
""",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    pytest.importorskip("hatchling", reason="python -m pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel. No index is asked: the libraries are
    those of this environment, without what its `.pth` files add.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    program = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([program, "-c", code], capture_output=True, text=True, check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(program), "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    libraries = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    libraries |= {path for path in sys.path if Path(path).name == "site-packages"}
    Path(site.stdout.strip(), "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
    return program


def test_the_wheel_ships_the_package_with_its_types_and_nothing_else(wheel: Path) -> None:
    """One top-level package, `py.typed` in it, and no `harness`."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "pytest_perfgate/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pytest_perfgate"}


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--perf", "--perf-history=off")], ids=["plain", "perf"])
@pytest.mark.parametrize("safe", ["", "1"], ids=["python -m pytest", "pytest"])
def test_its_tests_run_as_before(
    python: Path, tmp_path: Path, options: tuple[str, ...], safe: str
) -> None:
    """Packages, a fixture and a parameter of our names stay the project's own."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PY")}
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", "--performance=high", *options],
        cwd=tmp_path,
        env={**kept, "PYTHONSAFEPATH": safe},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "plugins: " in done.stdout
    assert "perfgate" in done.stdout
    assert "5 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    code = "import pytest_perfgate; print(pytest_perfgate.__file__)"  # none of this tree
    where = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert Path(where.stdout).is_relative_to(python.parents[1])


def test_a_fixture_that_builds_on_the_plugins_is_one_of_its_tests(
    pytester: pytest.Pytester,
) -> None:
    """A project's `budget` that takes ours is a perf test: skipped without `--perf`."""
    pytester.makeconftest(
        "import pytest\n\n@pytest.fixture\ndef budget(budget):\n    return budget\n"
    )
    pytester.makepyfile("def test_it(budget):\n    budget.check()\n")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*perf tests run with: pytest --perf*"])
