"""`--perf-base-env`: other packages for the base, in an environment that is made once."""

from __future__ import annotations

import os
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.measure.base_environment import base_environment
from pytest_perfgate.measure.requirement_files import contents

# Not `import pip`: from then on `distutils` is the standard library's here, and what compiles
# by torch fails, since setuptools finds the other one.
if not [*metadata.distributions(name="pip")]:
    pytest.skip("there is no pip here", allow_module_level=True)


def wheel(folder: Path, version: str) -> None:
    """A package `tinypkg` of one module, as a wheel."""
    folder.mkdir(exist_ok=True)
    info = f"tinypkg-{version}.dist-info"
    with zipfile.ZipFile(folder / f"tinypkg-{version}-py3-none-any.whl", "w") as file:
        file.writestr("tinypkg.py", f"VERSION = {version!r}\n")
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tinypkg\nVersion: {version}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in the place of an index, with tinypkg 2.0."""
    folder = tmp_path / "wheels"
    wheel(folder, "2.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_requirements_are_installed_once_and_what_differs_is_named(
    index: Path, tmp_path: Path
) -> None:
    """Beside all packages of this session; a second session makes nothing, a file of the same
    requirement neither needs an index.
    """
    said: list[str] = []
    cache = tmp_path / "cache"
    first = base_environment("tinypkg==2.0", tmp_path, cache, said.append)
    assert first.packages == ("tinypkg 2.0 -> none",)
    assert first.name == "under tinypkg 2.0"
    assert Path(first.python).is_relative_to(cache)
    assert said == ["making an environment with tinypkg==2.0"]
    for file in index.iterdir():
        file.unlink()
    (tmp_path / "base.txt").write_text("tinypkg==2.0")
    again = base_environment("tinypkg==2.0", tmp_path, cache, said.append)
    assert base_environment("base.txt", tmp_path, cache, said.append) == again == first
    assert len(said) == 1


def test_an_environment_that_does_not_resolve_is_one_message_and_leaves_nothing(
    index: Path, tmp_path: Path
) -> None:
    """Nor does what a killed session left."""
    assert index.is_dir()
    left = tmp_path / "cache" / "environments" / "new-killed"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    with pytest.raises(PerfgateError, match="pip cannot make this environment") as caught:
        base_environment("tinypkg==3.0", tmp_path, tmp_path / "cache", lambda _: None)
    assert "tinypkg==3.0" in caught.value.problem
    assert caught.value.where == "--perf-base-env tinypkg==3.0"
    assert [path.name for path in left.parent.iterdir()] == [".lock"]


def test_an_interpreter_is_taken_as_it_is(tmp_path: Path) -> None:
    """That of this session: no package differs."""
    same = base_environment(sys.executable, tmp_path, tmp_path / "cache", lambda _: None)
    assert (same.python, same.packages) == (sys.executable, ())
    assert same.name == "under equal packages"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("onnxruntime=1.30", "is no requirement"),
        ("requirements/none.txt", "there is no such file or program"),
        ("--index-url=x", "is no requirement"),
        ("true", "it needs pytest-perfgate"),
    ],
)
def test_what_names_no_packages_is_one_message(tmp_path: Path, spec: str, says: str) -> None:
    """With the option and what is valid."""
    with pytest.raises(PerfgateError, match=says) as caught:
        base_environment(spec, tmp_path, tmp_path / "cache", lambda _: None)
    assert caught.value.where == f"--perf-base-env {spec}"
    assert caught.value.valid or caught.value.next_step


def test_a_file_that_requirements_include_is_part_of_the_environment(
    index: Path, tmp_path: Path
) -> None:
    """Another version in an included file is another environment, though the file that includes it
    has not changed.
    """
    wheel(index, "2.1")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").write_text("-r pins.txt  # all of them\n")
    pins = tmp_path / "requirements" / "pins.txt"
    for version in ("2.0", "2.1"):
        pins.write_text(f"tinypkg \\\n  == {version}\n")
        made = base_environment(
            "requirements/base.txt", tmp_path, tmp_path / "cache", lambda _: None
        )
        assert made.packages == (f"tinypkg {version} -> none",)


@pytest.mark.parametrize("line", ["./lib", "-e ./lib", "tinylib @ file://{folder}/lib", "./lib[a]"])
def test_a_package_of_a_folder_is_known_by_its_sources(tmp_path: Path, line: str) -> None:
    """Changed sources under the same version are other contents; what a build leaves is none."""
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "tinylib.py").write_text("ANSWER = 1\n")
    lines = [line.replace("{folder}", str(tmp_path))]

    def now() -> list[str]:
        return contents(lines, tmp_path, tmp_path, "--perf-base-env x.txt")

    before = now()
    (lib / "build").mkdir()
    (lib / "build" / "left.txt").write_text("x")
    assert now() == before
    (lib / "tinylib.py").write_text("ANSWER = 2\n")
    assert len(now()) == len(before) == 1
    assert now() != before


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("git+https://example.org/lib@main", "names no commit"),
        ("lib @ git+https://example.org/lib", "names no commit"),
        ("-r https://example.org/pins.txt", "may say something else tomorrow"),
        ("--constraint=none.txt", "cannot be read"),
    ],
)
def test_what_may_be_other_packages_tomorrow_is_refused(
    tmp_path: Path, line: str, says: str
) -> None:
    """Before anything is installed, with the option and the line's own words."""
    (tmp_path / "base.txt").write_text(f"{line}\n")
    with pytest.raises(PerfgateError, match=says) as caught:
        base_environment("base.txt", tmp_path, tmp_path / "cache", lambda _: None)
    assert caught.value.where == "--perf-base-env base.txt"
    assert not (tmp_path / "cache").exists()


def test_lines_that_rest_on_their_text_alone(tmp_path: Path) -> None:
    """Versions, hashes, options, a commit and a file of an index need nothing else."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    lines = [
        "# a comment",
        "--index-url https://example.org/simple",
        'lib[extra]==1.0; python_version > "3" --hash=sha256:00',
        f"lib @ git+https://example.org/lib@{commit}#egg=lib",
        "https://example.org/lib-1.0-py3-none-any.whl",
    ]
    assert contents(lines, tmp_path, tmp_path, "x") == []
