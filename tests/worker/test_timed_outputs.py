"""What is timed is what is scored: a launch with one arm for each way to cheat, and honest ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.suite.reading import read
from pytest_perfgate.worker import launch, prepare, protocol

from tests.conftest import DOUBLES, scheduling_restored
from tests.squares import squares_project

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")

OTHER_OUTPUT = "the timed output is not the evaluated one"
OTHER_IMAGE = "timed outputs are not those of the images shown"
SAME_OUTPUT = "timed outputs do not depend on the pixels"
NO_ARRAY = "its values may be computed after the timed call"
KNOWN_INPUT = "answers are kept by their inputs"

CHEATS = {
    "keeps_answers": KNOWN_INPUT,
    "keeps_similar_answers": SAME_OUTPUT,
    "knows_evaluated_images": KNOWN_INPUT,
    "answers_evaluated_images_only": OTHER_IMAGE,
    "works_when_evaluated": OTHER_OUTPUT,
    "works_unless_pinned": OTHER_OUTPUT,
    "works_when_read": NO_ARRAY,
    "gives_array_subclass": NO_ARRAY,
    "works_afterwards": OTHER_OUTPUT,
    "sees_less": OTHER_OUTPUT,
    "leaves_early": OTHER_OUTPUT,
    "works_at_first": OTHER_OUTPUT,
    "works_until_settled": OTHER_OUTPUT,
    "is_one_behind": OTHER_IMAGE,
    "always_the_same": OTHER_OUTPUT,
    "halves_boxes": OTHER_OUTPUT,
    "drops_best_box": OTHER_OUTPUT,
    "gives_fewer_outputs": OTHER_OUTPUT,
}
HONEST = ("honest", "noisy")
WORKLOADS = {
    "loader": '{ name = "loader", batch_size = 2, batches = 1 }',
    "one_by_one": '{ name = "pipeline", images = 2, depth = 1 }',
}
"""Other workloads, which have an honest arm and one of the mode `works_when_evaluated` each."""

SUITE = """\
[suite]
task  = "detection"
model = "squares.onnx"

[suite.data]
validation  = { images = "validation", annotations = "validation.json" }
"""
RECIPE = """
[[recipe]]
name    = "{0}"
runtime = {{ name = "cheats", mode = "{0}" }}
"""


OF_WORKLOAD = """
[[recipe]]
name     = "{0}-{1}"
runtime  = {{ name = "cheats", mode = "{1}" }}
workload = {2}
"""


def arms_of_workloads() -> list[tuple[str, str]]:
    """Workload and mode of each of their arms."""
    return [(name, mode) for name in WORKLOADS for mode in ("honest", "works_when_evaluated")]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, tiny_suite: Path) -> Iterator[Any]:
    """Mode to the message on its arm in one launch; all modes are honest when evaluated."""
    folder = tmp_path_factory.mktemp("cheats")
    modes = [*HONEST, *CHEATS]
    squares_project(tiny_suite, folder)
    others = [OF_WORKLOAD.format(name, mode, WORKLOADS[name]) for name, mode in arms_of_workloads()]
    (folder / "recipes.toml").write_text(
        SUITE + "".join(map(RECIPE.format, modes)) + "".join(others)
    )
    modes += ["-".join(pair) for pair in arms_of_workloads()]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOUBLES))
        suite = read(folder / "recipes.toml", folder).suite
        assert suite is not None
        with scheduling_restored():
            outcomes = _launched(suite, folder, modes)
        yield outcomes


def _launched(suite: Any, folder: Path, modes: list[str]) -> dict[str, Any]:
    images = folder / "images.npz"
    works = {}
    for evaluated in HONEST:
        messages: list[protocol.Message] = []
        job = protocol.PrepareJob(suite, evaluated, folder / "cache", images)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cheats.timed", lambda: False)
            prepare.prepare(job, messages.append)
        prepared = messages[-1]
        assert isinstance(prepared, protocol.Prepared), prepared
        for mode in modes if evaluated == "honest" else [evaluated]:
            works[mode] = protocol.RecipeWork(
                suite, mode, prepared.artifact, folder, images, 20.0, prepared.outputs
            )
    arms = tuple(protocol.ArmSpec(mode, sys.executable, work=works[mode]) for mode in modes)
    cores = tuple(usable_cores()[:1])
    preload = ("numpy", "onnxruntime")
    job_of_all = protocol.LaunchJob(0, cores, preload, False, arms, False, 20.0, folder)
    blocks = tuple((mode,) for mode in modes)
    plan = protocol.LaunchPlan(blocks=blocks, rounds=32, batches=(), seconds=30.0, started=0.0)
    outcomes: dict[str, Any] = {}

    def hear(message: protocol.Message) -> None:
        if isinstance(message, protocol.ArmMeasured | protocol.ArmFailed):
            outcomes[message.label] = message

    launch.launch(job_of_all, lambda: plan, hear)
    return outcomes


@pytest.mark.parametrize("mode", CHEATS)
def test_an_arm_that_cheats_when_it_is_timed_fails_in_its_launch(outcomes: Any, mode: str) -> None:
    """Each way is caught, and the words say by what."""
    failed = outcomes[mode]
    assert isinstance(failed, protocol.ArmFailed), failed
    assert CHEATS[mode] in failed.failure.problem
    assert failed.failure.next_step


@pytest.mark.parametrize("mode", HONEST)
def test_an_honest_arm_is_measured_though_its_outputs_vary(outcomes: Any, mode: str) -> None:
    """As they varied when they were evaluated."""
    assert isinstance(outcomes[mode], protocol.ArmMeasured), outcomes[mode]
    assert len(outcomes[mode].launch.inference) == 32


@pytest.mark.parametrize("workload", WORKLOADS)
def test_other_workloads_are_compared_too(outcomes: Any, workload: str) -> None:
    """What loads ahead or goes one by one gives the evaluated outputs, or is an error."""
    honest = outcomes[f"{workload}-honest"]
    assert isinstance(honest, protocol.ArmMeasured), honest
    failed = outcomes[f"{workload}-works_when_evaluated"]
    assert isinstance(failed, protocol.ArmFailed), failed
    assert "is not the evaluated one" in failed.failure.problem


def test_the_error_names_image_output_values_and_tolerance(outcomes: Any) -> None:
    """What people need to look for it, and what to do where the difference is meant."""
    failed = outcomes["drops_best_box"].failure
    for part in ("validation image", "output 1 at (0, ", "when timed", "allowed is 0.02"):
        assert part in failed.problem
    assert "output_tolerance = " in failed.next_step
