"""What the parent of a launch imports before it forks its arms."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.records.recipe import RuntimeSpec
from pytest_perfgate.suite.preloads import preloads

from tests.conftest import DOUBLES
from tests.suite.texts import FP32, SUITE, read


def test_modules_of_this_package_are_loaded_once_and_those_of_others_by_each_arm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extension of others is named by its `preload` alone: its module may import the project."""
    monkeypatch.syspath_prepend(DOUBLES)
    suite = read(tmp_path, SUITE + FP32).suite
    assert suite is not None
    recipe = suite.recipes["fp32"]
    own = {f"pytest_perfgate.{name}" for name in ("tasks.detection", "workloads.images")}
    assert {*preloads(suite, recipe)} >= own | {"torch", "pytest_perfgate.runtimes.torch"}
    other = preloads(suite, replace(recipe, runtime=RuntimeSpec("moody")))
    assert {*other} >= own
    assert not {sys.modules["moody"].__name__, "pytest_perfgate.runtimes.torch"} & {*other}
