"""Any edit of what an artifact or a score rests on makes it again, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_perfgate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_perfgate import registry
from pytest_perfgate.building import keys, package_versions
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.suite.reading import read

from tests.conftest import coco_folder, squares_model

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxslim", reason="python -m pip install 'pytest-perfgate[onnx]'")

RECIPES = """\
[suite]
name = "squares"
task = "detection"
model = "squares.onnx"
[suite.data]
calibration = { images = "calibration", annotations = "calibration.json" }
validation = { images = "validation", annotations = "validation.json" }
[[recipe]]
name = "plain"
runtime = "onnxruntime"
"""
ALL = {"model", "simplify", "quantize", "scored", "evaluation"}
STEPS = {"scored": "quantize"}
"""The steps of links whose names are others."""


class World:
    """A suite, its files, and the program that measures it: all that can be edited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        squares_model(folder / "squares.onnx")
        model = onnx.load(folder / "squares.onnx")
        (folder / "squares.onnx").unlink()
        onnx.save(
            *(model, folder / "squares.onnx"),
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=64,
        )
        coco_folder(folder, "calibration", 2, seed=1)
        coco_folder(folder, "validation", 3, seed=2)
        (folder / "recipes.toml").write_text(RECIPES)
        self.content = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        self.restore()
        self.before = self.keys()

    def restore(self) -> None:
        """As it was in the beginning; the rest is undone by pytest's patches."""
        for file, content in self.content.items():
            file.write_bytes(content)
        suite = read(self.folder / "recipes.toml", self.folder).suite
        assert suite is not None
        self.suite: Suite = suite
        self.options: dict[str, Any] = {
            "quantize": {"method": "static"},
            "scored": {"method": "static", "accuracy_drop": 0.1},
            "simplify": {},
        }

    def keys(self) -> dict[str, str]:
        """Of the model, of links right after it, and of an evaluation of some artifact."""
        data = SuiteData(self.suite)
        result = {"model": keys.source_key(self.suite)}
        for name, chosen in self.options.items():
            step = registry.find(registry.STEPS, STEPS.get(name, name))
            options = step.Options.model_validate(chosen)
            result[name] = keys.step_key(result["model"], step, options, self.suite, data)
        handle = ArtifactHandle("onnx", None, self.suite.model)
        recipe = self.suite.recipes["plain"]
        result["evaluation"] = keys.evaluation_key(self.suite, recipe, handle, "digest", data)
        return result


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One world, restored for each edit."""
    return World(tmp_path_factory.mktemp("world"))


Edit = Callable[[World, pytest.MonkeyPatch], None]


def flip(name: str, at: int = -1) -> Edit:
    """One bit of a file."""

    def edit(world: World, _: pytest.MonkeyPatch) -> None:
        content = bytearray((world.folder / name).read_bytes())
        content[at] ^= 1
        (world.folder / name).write_bytes(content)

    return edit


def repaint(name: str) -> Edit:
    """One pixel of an image."""

    def edit(world: World, _: pytest.MonkeyPatch) -> None:
        pixels = np.array(Image.open(world.folder / name))
        pixels[3, 3, 0] ^= 1
        Image.fromarray(pixels).save(world.folder / name)

    return edit


def annotate(name: str) -> Edit:
    """One edge of a box."""

    def edit(world: World, _: pytest.MonkeyPatch) -> None:
        data = json.loads((world.folder / name).read_text())
        data["annotations"][0]["bbox"][2] += 1
        (world.folder / name).write_text(json.dumps(data))

    return edit


def release(package: str) -> Edit:
    """Another version of an installed package."""

    def edit(_: World, patch: pytest.MonkeyPatch) -> None:
        real = package_versions.version_now
        patch.setattr(
            package_versions, "version_now", lambda name: "0" if name == package else real(name)
        )

    return edit


def code(of: str, module: str) -> Edit:
    """The source of a step, a runtime, a decoder."""

    def edit(_: World, patch: pytest.MonkeyPatch) -> None:
        real: Callable[[object], str] = getattr(keys, of)
        patch.setattr(
            keys, of, lambda piece: "edited" if module in type(piece).__module__ else real(piece)
        )

    return edit


def declare(**changed: Any) -> Edit:
    """A key of `[suite]`."""

    def edit(world: World, _: pytest.MonkeyPatch) -> None:
        world.suite = replace(world.suite, **changed)

    return edit


def run_with(**options: Any) -> Edit:
    """An option of the runtime."""

    def edit(world: World, _: pytest.MonkeyPatch) -> None:
        recipe = world.suite.recipes["plain"]
        recipe = replace(recipe, runtime=replace(recipe.runtime, options=options))
        world.suite = replace(world.suite, recipes={"plain": recipe})

    return edit


def apply_with(step: str, **options: Any) -> Edit:
    """An option of a step."""

    def edit(world: World, _: pytest.MonkeyPatch) -> None:
        world.options[step] = options

    return edit


def upgrade(_: World, patch: pytest.MonkeyPatch) -> None:
    """Another version of this project."""
    patch.setattr(pytest_perfgate, "__version__", "0")


def rename(world: World, _: pytest.MonkeyPatch) -> None:
    """A name in the graph."""
    model = onnx.load(world.folder / "squares.onnx", load_external_data=False)
    model.graph.name = "other"
    onnx.save(model, world.folder / "squares.onnx")


LINKS = ALL - {"evaluation"}
EDITS: dict[str, tuple[Edit, set[str]]] = {
    "the model": (rename, LINKS),
    "weights beside the model": (flip("weights.bin"), LINKS),
    "a validation image": (repaint("validation/2.png"), {"evaluation"}),
    "a calibration image": (repaint("calibration/1.png"), {"quantize", "scored"}),
    "validation annotations": (annotate("validation.json"), {"evaluation"}),
    "calibration annotations": (annotate("calibration.json"), {"quantize", "scored"}),
    "a step's code": (code("own_code", "steps.quantize"), {"quantize", "scored"}),
    "the runtime's code": (code("whole_code", "runtimes.onnxruntime"), {"evaluation"}),
    "the decoder's code": (code("whole_code", "tasks.decoders"), {"scored", "evaluation"}),
    "the evaluator": (release("faster-coco-eval"), {"scored", "evaluation"}),
    "a step's package": (release("onnxslim"), {"simplify"}),
    "another runtime": (release("openvino"), set()),
    "torch, which nothing here uses": (release("torch"), set()),
    "this project": (upgrade, ALL),
    "an option of a step": (apply_with("quantize", method="static", samples=1), {"quantize"}),
    "an option of the runtime": (run_with(graph_optimization="basic"), {"evaluation"}),
    "pre-processing": (declare(input={"size": (32, 32)}), ALL - {"model"}),
    "post-processing": (declare(output={"iou_threshold": 0.3}), {"scored", "evaluation"}),
    "threads": (declare(threads=2), ALL - {"model"}),
    "the trainer": (declare(trainer="package.module:fit"), set()),
    "what is required of the suite": (declare(require=("gpu",)), set()),
}


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.sets(st.sampled_from(sorted(EDITS)), min_size=1, max_size=2))
def test_random_edits_make_again_what_rests_on_them_and_nothing_else(
    world: World, names: set[str]
) -> None:
    """Of one edit or two at once."""
    world.restore()
    with pytest.MonkeyPatch.context() as patch:
        for name in sorted(names):
            EDITS[name][0](world, patch)
        after = world.keys()
    expected = set().union(*(EDITS[name][1] for name in names))
    assert {key for key in ALL if world.before[key] != after[key]} == expected


@pytest.mark.parametrize("name", EDITS)
def test_each_edit_makes_again_what_rests_on_it_and_nothing_else(world: World, name: str) -> None:
    """So that none is left to chance."""
    world.restore()
    with pytest.MonkeyPatch.context() as patch:
        EDITS[name][0](world, patch)
        after = world.keys()
    assert {key for key in ALL if world.before[key] != after[key]} == EDITS[name][1]


@pytest.mark.parametrize(
    ("stages", "package", "expected"),
    [
        (
            {"input": {"size": (32, 32), "by": "opencv"}},
            "opencv-python-headless",
            {"quantize", "scored", "evaluation"},
        ),
        ({"input": {"preprocess": "markdown_it:MarkdownIt"}}, "markdown-it-py", ALL - {"model"}),
        (
            {"output": {"postprocess": "markdown_it:MarkdownIt"}},
            "markdown-it-py",
            {"scored", "evaluation"},
        ),
    ],
)
def test_another_version_of_a_stage_makes_again_what_it_prepared(
    world: World, stages: dict[str, Any], package: str, expected: set[str]
) -> None:
    """The library that resizes, and installed packages whose functions are the stages."""
    world.restore()
    world.suite = replace(world.suite, **stages)
    with pytest.MonkeyPatch.context() as patch:
        # What the function gives is no matter here
        patch.setattr(
            SuiteData, "example", lambda _, count: Inputs(np.zeros((count, 3, 8, 8), "f4"))
        )
        before = world.keys()
        release(package)(world, patch)
        after = world.keys()
    assert {key for key in ALL if before[key] != after[key]} == expected
