"""One table of options: the parser, the settings and the docs agree with it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from pytest_perfgate.plugin.options import OPTIONS
from pytest_perfgate.plugin.settings import settings_of
from pytest_perfgate.records.settings import Settings

DERIVED = {"root", "ci", "command", "rounds", "import_path", "history_url"}
"""Fields of the settings that no option gives by itself."""


def test_every_field_of_the_settings_has_its_option() -> None:
    """A field without an option could not be set; an option without a field would do nothing."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    named = {option.field for option in OPTIONS if option.name != "--perf"}
    assert named == fields - DERIVED


def test_the_defaults_of_the_table_reach_the_settings(pytester: pytest.Pytester) -> None:
    """Settings of `pytest --perf` alone are those that the table declares."""
    settings = settings_of(pytester.parseconfig("--perf"))
    assert settings.seconds == 120
    assert settings.reports == pytester.path / "reports"
    assert settings.history == pytester.path / "reports" / "history"
    assert settings.cache == pytester.path / ".perfgate"
    assert settings.share is None
    assert not settings.strict


def test_the_help_has_every_option_with_its_default(pytester: pytest.Pytester) -> None:
    """`pytest --help` shows the phrase and the default of the table."""
    shown = "".join(pytester.runpytest("--help").stdout.str().split())
    for option in OPTIONS:
        assert option.name in shown
        assert "".join(option.help.split()) in shown
        if option.default_text:
            assert "".join(f"{option.help} (default: {option.default_text})".split()) in shown


def test_loading_the_plugin_imports_the_table_alone() -> None:
    """A run without `--perf` pays for two modules of this project, and for no library."""
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_perfgate.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "pytest_perfgate",
        "pytest_perfgate.plugin",
        "pytest_perfgate.plugin.options",
    ]
