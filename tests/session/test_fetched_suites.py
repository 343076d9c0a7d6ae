"""What suites name in stores is fetched before the first is measured, where it is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.errors import FetchError
from pytest_perfgate.session import fetched_suites
from pytest_perfgate.session.fetched_suites import FetchedSuites, other_content
from pytest_perfgate.suite.reading import SuiteFile

from tests.sources.graphs import IMAGES
from tests.suite.test_locations import IN_STORE, MODEL, lock, locked, put
from tests.suite.texts import read


@pytest.fixture
def suite(tmp_path: Path) -> SuiteFile:
    """A suite whose model is locked and in no cache."""
    lock(tmp_path, locked(MODEL, IMAGES))
    return read(tmp_path, IN_STORE)


def test_one_that_cannot_be_fetched_fails_its_suite_alone(
    suite: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is fetched at once; its error is raised when its own suite is measured."""
    other = replace(suite, file=tmp_path / "other" / "recipes.toml")

    def fetched(one, *_):
        if one.file == suite.file:
            raise FetchError("no such file")
        return one

    assert suite.suite is not None
    other = replace(other, suite=replace(suite.suite, file=other.file))
    monkeypatch.setattr(fetched_suites, "with_files", fetched)
    suites = FetchedSuites([(suite, ["fp32"]), (other, ["fp32"])], tmp_path, print)
    assert suites.of(other) == other
    with pytest.raises(FetchError, match="no such file"):
        suites.of(suite)


def test_nothing_is_fetched_for_recipes_that_cannot_run(
    suite: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are skipped with the package that they lack, not with a server that is away."""
    monkeypatch.setattr(fetched_suites, "lacking", lambda *_: "a package")
    assert FetchedSuites([(suite, ["fp32"])], tmp_path, print).of(suite) == suite
    monkeypatch.undo()
    put(tmp_path / "cache", locked(MODEL, IMAGES), IMAGES)
    there = FetchedSuites([(suite, ["fp32"])], tmp_path / "cache", print).of(suite)
    assert there.suite is not None
    assert list(there.suite.fetched) == [MODEL]


def test_other_content_at_the_base_is_named(suite: SuiteFile) -> None:
    """By both digests; the same content says nothing."""
    assert suite.suite is not None
    base = replace(suite.suite, locations={MODEL: locked(MODEL, b"old")})
    (note,) = other_content(suite.suite, base, "main (abc)")
    assert f"{MODEL} has other content at main (abc)" in note
    for content in (b"old", IMAGES):
        assert locked(MODEL, content).files[0].sha256[:16] in note
    assert other_content(suite.suite, suite.suite, "main (abc)") == []
