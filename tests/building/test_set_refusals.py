"""Further sets of images that cannot be scored beside the validation images."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.recipe import split_of
from pytest_perfgate.suite.reading import read

DATA = """\
import numpy as np
from pytest_perfgate.tasks.classification.data import ClassificationData

def of(count, classes):
    images = [np.full((4, 4, 3), at, np.uint8) for at in range(count)]
    return ClassificationData(images, [at % 2 for at in range(count)], classes)

def validation():
    return of(4, ("cat", "dog"))

def night():
    return of(2, ("dog", "cat"))

def empty():
    return of(0, ("cat", "dog"))

def build():
    raise NotImplementedError
"""
SUITE = """\
[suite]
task  = "classification"
model = "refused_sets:build"
[suite.data]
validation = "refused_sets:validation"
[suite.data.sets]
{name} = "refused_sets:{name}"
[[recipe]]
name    = "plain"
runtime = "torch"
budgets = {{ accuracy = {{ min = 0.5 }} }}
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SuiteData]:
    """Reads a suite with one further set."""
    (tmp_path / "refused_sets.py").write_text(DATA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "refused_sets", raising=False)

    def with_set(name: str) -> SuiteData:
        (tmp_path / "recipes.toml").write_text(SUITE.format(name=name))
        suite = read(tmp_path / "recipes.toml", tmp_path).suite
        assert suite is not None
        return SuiteData(suite)

    return with_set


def test_a_set_with_other_classes_is_refused(data: Callable[[str], SuiteData]) -> None:
    """Its scores would stand under the wrong names: the first class that differs is named."""
    with pytest.raises(DataError) as caught:
        data("night").refuse_other_classes()
    words = str(caught.value)
    assert "class 0 is 'dog', and of the validation images it is 'cat'" in words
    assert "suite.data.sets.night" in words
    assert "the 2 classes of the validation images, in their order" in words


def test_a_set_without_images_is_refused(data: Callable[[str], SuiteData]) -> None:
    """Nothing would be measured on it."""
    with pytest.raises(DataError) as caught:
        data("empty").split(split_of("empty"))
    words = str(caught.value)
    assert "there are no images" in words
    assert "suite.data.sets.empty" in words
    assert "leave the set out" in words
