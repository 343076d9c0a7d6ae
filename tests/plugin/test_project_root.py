"""The same command has the same root, whatever exists by now."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.plugin import project_root
from pytest_perfgate.plugin.options import OPTIONS

PLACES = [option.name for option in OPTIONS if option.is_path]


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("exists", [False, True])
def test_a_place_after_a_space_is_refused(
    pytester: pytest.Pytester, name: str, exists: bool
) -> None:
    """In the first run as in the second; the message has the form that works."""
    place = pytester.path.parent / "elsewhere"
    if exists:
        place.mkdir(exist_ok=True)
    with pytest.raises(pytest.UsageError, match=f"Valid: {name}={place}"):
        project_root.check(pytester.parseconfig("--perf", name, str(place)))


def test_another_value_after_a_space_is_refused_where_such_a_file_exists(
    pytester: pytest.Pytester,
) -> None:
    """`--perf-base main` in a project with a folder `main`; without one it is fine."""
    arguments = ("--perf", "--perf-base", "main")
    project_root.check(pytester.parseconfig(*arguments))
    pytester.mkdir("main")
    with pytest.raises(pytest.UsageError, match="Valid: --perf-base=main"):
        project_root.check(pytester.parseconfig(*arguments))


def test_the_environment_is_looked_at_too(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTEST_ADDOPTS moves the root as arguments do."""
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--perf-cache '{pytester.mkdir('a cache')}'")
    with pytest.raises(pytest.UsageError, match="--perf-cache="):
        project_root.check(pytester.parseconfig("--perf"))


def test_places_after_an_equals_sign_leave_the_root_alone(pytester: pytest.Pytester) -> None:
    """Existing places outside the project, all at once."""
    pytester.makeini("[pytest]")
    places = [f"{name}={Path('/tmp')}" for name in PLACES]  # noqa: S108 - nothing is written
    config = pytester.parseconfig("--perf", *places, "--perf-history", "off")
    assert config.rootpath == pytester.path
    project_root.check(config)


def test_a_root_that_the_arguments_moved_is_refused(pytester: pytest.Pytester) -> None:
    """A service of a monorepo, measured from the top: its baselines are not those of the top."""
    pytester.makeini("[pytest]")
    service = pytester.mkdir("service")
    (service / "pytest.ini").write_text("[pytest]\n")
    with pytest.raises(pytest.UsageError, match=f"--rootdir={service}"):
        project_root.check(pytester.parseconfig("--perf", "service"))
    project_root.check(pytester.parseconfig("--perf", "service", "--rootdir=service"))
    pytester.chdir()
    project_root.check(pytester.parseconfig("--perf"))
