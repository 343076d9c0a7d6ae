"""What makes a link of a chain be built anew: its own packages, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.building import package_versions
from pytest_perfgate.building.keys import slicing_key, source_key, step_key
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import SliceSpec, Suite
from pytest_perfgate.registry import STEPS, find
from pytest_perfgate.suite import reading
from pytest_perfgate.tasks.classification.data import ClassificationData

pytest.importorskip("torch_pruning", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")

SUITE = """\
[suite]
task = "detection"
model = "demo.model:build"
[suite.data]
validation = "demo.data:validation"
[[recipe]]
name = "fp32"
runtime = "torch"
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A suite of one torch recipe."""
    (tmp_path / "recipes.toml").write_text(SUITE)
    found = reading.read(tmp_path / "recipes.toml", tmp_path).suite
    assert found is not None
    return found


DATA: Any = SimpleNamespace(example=lambda count: Inputs(np.zeros((count, 3, 8, 8), np.float32)))
"""What steps that read no images ask of a suite's data."""


def keys(suite: Suite) -> dict[str, str]:
    """The key of the model, and of some steps right after it."""
    source = source_key(suite)
    found = {"model": source}
    for name in ("prune", "export"):
        step = find(STEPS, name)
        found[name] = step_key(source, step, step.Options(), suite, DATA)
    return found


@pytest.mark.parametrize(
    ("package", "anew"),
    [
        ("openvino", set()),
        ("pydantic", set()),
        ("torch-pruning", {"prune"}),
        ("onnx", {"export"}),
        ("onnxscript", {"export"}),
        ("torch", {"model", "prune", "export"}),
        ("numpy", {"model", "prune", "export"}),
    ],
)
def test_another_version_builds_what_uses_the_package(
    package: str, anew: set[str], suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of training are not lost because another runtime was updated."""
    before, real = keys(suite), package_versions.version
    monkeypatch.setattr(
        package_versions, "version_now", lambda name: "0" if name == package else real(name)
    )
    after = keys(suite)
    assert {name for name in before if before[name] != after[name]} == anew


@pytest.fixture(scope="module")
def distributions() -> Mapping[str, list[str]]:
    """Module to the distributions that Python names; it reads the files of all that are there."""
    return packages_distributions()


@pytest.mark.parametrize("module", ["numpy", "onnxruntime", "typing_extensions", "PIL", "no_such"])
def test_the_distributions_of_a_module_are_those_that_python_names(
    module: str, distributions: Mapping[str, list[str]]
) -> None:
    """Packages, single files, names unlike their distribution's; numpy is always among them."""
    names = {*distributions.get(module, ()), *distributions["numpy"]}
    assert package_versions.versions_of([module]).keys() == names


def test_slices_are_kept_by_the_values_of_their_attribute() -> None:
    """The digest of images and labels says nothing of them; those of other attributes do not
    matter, and brightness is of the pixels.
    """
    images = [np.full((4, 4, 3), level, np.uint8) for level in (10, 200)]

    def key(by: str, **attributes: list[Any]) -> str:
        return slicing_key(SliceSpec(by), ClassificationData(images, (), (), attributes))

    before = key("camera", camera=[7, 9], site=["a", "b"])
    assert key("camera", camera=[7, 9], site=["b", "b"]) == before
    assert key("camera", camera=[9, 9], site=["a", "b"]) != before
    assert key("camera", camera=["7", "9"]) != before
    assert key("brightness", camera=[7, 9]) == key("brightness", camera=[9, 9])
