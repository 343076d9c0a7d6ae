"""Faults in a recipe, and recipes that cannot have one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.proving.catalogue import FAULTS, DoesNotApply, Place
from pytest_perfgate.proving.data import HalfNoise, plant_in_split
from pytest_perfgate.proving.pictures import INPUTS, PICTURES
from pytest_perfgate.proving.predictions import PREDICTIONS
from pytest_perfgate.proving.recipes import planted
from pytest_perfgate.proving.stages import SLOW_AFTER, SLOW_BEFORE
from pytest_perfgate.records.recipe import (
    PlantedFault,
    Recipe,
    RuntimeSpec,
    Suite,
    WorkloadSpec,
)
from pytest_perfgate.suite import reading
from pytest_perfgate.tasks.classification.data import ClassificationData

SUITE = """
[suite]
task = "detection"
model = "model:build"
data = { calibration = "data:few", validation = "data:all" }

[[recipe]]
name = "fp32"
runtime = "torch"

[[recipe]]
name = "int8"
from = "fp32"
steps = [{ export = "onnx" }, { quantize = "static" }]
runtime = "onnxruntime"
[recipe.budgets]
map = { drop = 0.01 }
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A suite of a float recipe and one of 8 bits."""
    (tmp_path / "recipes.toml").write_text(SUITE)
    suite = reading.read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    return suite


def with_fault(name: str, suite: Suite, recipe: str = "int8") -> tuple[Suite, Recipe]:
    """The suite and the recipe with a fault of that name."""
    return planted(FAULTS[name], suite, suite.recipes[recipe], 0.5)


def test_every_fault_is_planted_where_the_catalogue_says() -> None:
    """A fault of the catalogue that no module plants would be unseen for ever."""
    names = {
        place: {fault.name for fault in FAULTS.values() if fault.place is place} for place in Place
    }
    assert names[Place.PICTURE] == PICTURES.keys()
    assert names[Place.INPUT] == INPUTS.keys()
    assert names[Place.PREDICTION] == PREDICTIONS.keys()
    assert names[Place.STAGE] == SLOW_BEFORE | SLOW_AFTER
    assert len(FAULTS) >= 30


def test_a_fault_of_the_worker_travels_in_the_suite(suite: Suite) -> None:
    """With its size, for that recipe; the whole suite has none."""
    ours, recipe = with_fault("slow_inference", suite)
    assert ours.planted == PlantedFault("slow_inference", "int8", 0.5)
    assert recipe == suite.recipes["int8"]
    assert suite.planted is None


def test_a_step_is_taken_out(suite: Suite) -> None:
    """The last that gives what it takes; its claim stays in no chain."""
    ours, recipe = with_fault("step_without_effect", suite)
    assert [spec.name for spec in recipe.chain] == ["export"]
    assert ours.recipes["int8"] == recipe
    with pytest.raises(DoesNotApply, match="no steps"):
        with_fault("step_without_effect", suite, "fp32")


def test_calibration_reads_validation_images(suite: Suite) -> None:
    """Where a step calibrates."""
    ours, _ = with_fault("calibration_on_validation", suite)
    assert ours.data["calibration"] == "data:all"
    for name in ("calibration_on_validation", "calibration_noise"):
        with pytest.raises(DoesNotApply, match="calibration"):
            with_fault(name, suite, "fp32")


def test_threads_are_doubled(suite: Suite) -> None:
    """Those of the suite, or the runtime's own."""
    assert with_fault("threads_doubled", suite)[1].runtime.options["threads"] == 2 * suite.threads
    own = replace(suite.recipes["int8"], runtime=RuntimeSpec("onnxruntime", {"threads": 3}))
    _, recipe = planted(FAULTS["threads_doubled"], suite, own, 0.0)
    assert recipe.runtime.options["threads"] == 6


@pytest.mark.parametrize(
    ("runtime", "lost"),
    [
        (RuntimeSpec("onnxruntime", {"provider": "cuda"}), {"provider": "cpu"}),
        (RuntimeSpec("onnxruntime", {"provider": "cuda", "io_binding": True}), {"provider": "cpu"}),
        (RuntimeSpec("torch", {"device": "cuda"}), {"device": "cpu"}),
    ],
)
def test_a_provider_is_lost(runtime: RuntimeSpec, lost: dict[str, str], suite: Suite) -> None:
    """The CPU takes its place, without options that need the device."""
    recipe = replace(suite.recipes["int8"], runtime=runtime)
    options = planted(FAULTS["provider_lost"], suite, recipe, 0.0)[1].runtime.options
    assert options.items() >= lost.items()
    with pytest.raises(DoesNotApply, match="CPU"):
        with_fault("provider_lost", suite)


def test_what_does_not_apply_says_why(suite: Suite) -> None:
    """A batch of one image; another workload than images."""
    with pytest.raises(DoesNotApply, match="one image"):
        with_fault("frozen_batch", replace(suite, batch=1))
    serving = replace(suite.recipes["int8"], workload=WorkloadSpec("pipeline"))
    with pytest.raises(DoesNotApply, match="pipeline"):
        planted(FAULTS["leak"], suite, serving, 0.0)


def test_half_of_the_calibration_images_are_noise() -> None:
    """Every second one, the same noise every time; no other split, and no other fault."""
    images = [np.full((4, 4, 3), 7, np.uint8) for _ in range(4)]
    data = ClassificationData(images, [0, 1, 0, 1], ["a", "b"])
    fault = PlantedFault("calibration_noise", "int8")
    noisy = plant_in_split(data, "calibration", fault)
    assert isinstance(noisy.images, HalfNoise)
    assert [bool((image == 7).all()) for image in noisy.images] == [True, False, True, False]
    assert noisy.digest == plant_in_split(data, "calibration", fault).digest != data.digest
    assert plant_in_split(data, "validation", fault) is data
    assert plant_in_split(data, "calibration", PlantedFault("leak", "int8")) is data
