"""Options read into settings: what cannot be taken is a usage error that names the option."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_perfgate.plugin import project_root
from pytest_perfgate.plugin.settings import settings_of
from pytest_perfgate.suite import reading

NOT_UTF8 = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--perf-mlflow=http://[::1", "--perf-mlflow http://[::1: Invalid IPv6 URL"),
        ("--perf-mlflow=http://host:x@[", "--perf-mlflow http://"),
        (f"--perf-markdown={'m' * 5_000}", "File name too long"),
        (f"--perf-cache={NOT_UTF8}", "--perf-cache \ufffd: it is not UTF-8"),
        (f"--perf-reason={NOT_UTF8}", "--perf-reason \ufffd: it is not UTF-8"),
        ("--perf-picture-url=http://host:port/x", "--perf-picture-url http://host:port/x: Port"),
        ("--perf-seconds=nan", "--perf-seconds nan: valid: more than 0"),
        ("--perf-alpha=nan", "--perf-alpha nan: valid"),
    ],
)
def test_a_malformed_value_is_refused(pytester: pytest.Pytester, argument: str, words: str) -> None:
    """URLs, paths and numbers; never an error of Python's."""
    with pytest.raises(pytest.UsageError) as caught:
        settings_of(pytester.parseconfig("--perf", argument))
    assert words in str(caught.value)


def test_a_folder_whose_name_is_not_utf8_is_named(pytester: pytest.Pytester) -> None:
    """The project's own is a usage error, a suite's the error of that suite."""
    folder = pytester.path / NOT_UTF8
    folder.mkdir()
    (folder / "recipes.toml").touch()
    (problem,) = reading.read(folder / "recipes.toml", pytester.path).suite_problems
    assert str(problem).startswith("\ufffd/recipes.toml: its path is not UTF-8")
    config = pytester.parseconfig("--perf", f"--rootdir={folder}")
    assert config.rootpath == Path(folder)
    with pytest.raises(pytest.UsageError, match="path of the project is not UTF-8"):
        project_root.check(config)
