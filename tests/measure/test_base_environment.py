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
