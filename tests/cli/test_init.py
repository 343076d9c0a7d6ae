"""`pytest-perfgate init`: the files that it writes, and what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.cli.init_suite import OF_EVERY_RECIPE
from pytest_perfgate.cli.main import main
from pytest_perfgate.machine import fingerprint
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.suite import reading

from tests.cli.graphs import shaped, ultralytics
from tests.cli.test_init_data import fill
from tests.squares import coco_folder

EVERY = {limit.partition(" ")[0] for limit in OF_EVERY_RECIPE}
"""Metrics that every recipe is held to."""

pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a detector and 24 annotated images, as the working folder."""
    root = tmp_path / "project"
    root.mkdir()
    ultralytics(root / "yolov8n.onnx", ["person", "square"])
    (root / "data").mkdir()
    coco_folder(root / "data", "images", 24, seed=1)
    monkeypatch.chdir(root)
    return root


def suite_of(root: Path, name: str) -> Suite:
    """The suite that was written, which has no problem."""
    read = reading.read(root / "suites" / name / "recipes.toml", root)
    assert (read.suite_problems, dict(read.problems)) == ((), {})
    assert read.suite is not None
    return read.suite


def limits(suite: Suite, recipe: str) -> dict[str, dict[str, float]]:
    """By metric, the values of a recipe's limits by their kind."""
    return {
        budget.metric: {limit.kind.value: limit.value for limit in budget.limits}
        for budget in suite.recipes[recipe].budgets
    }


def test_a_suite_for_a_model_and_its_data(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It reads without a problem, its splits load and share no image, and each guess has its
    evidence.
    """
    assert main(["init", "--model", "yolov8n.onnx", "--data", "data"]) == 0
    out = capsys.readouterr().out
    suite = suite_of(project, "yolov8n")
    assert {"fp32", "int8"} <= set(suite.recipes)
    assert suite.batch == 1
    drop = limits(suite, "int8")["map"]["drop"]
    assert 0.05 < drop < 0.3
    for line in (
        "task         detection                      the metadata says task = detect",
        "classes      [1]                            by the names in the metadata",
        f"map drop     {drop:g}",
        "note: one folder: 6 of its 24 images calibrate and are not scored",
        "next: pytest --perf suites/yolov8n",
    ):
        assert line in out
    data = SuiteData(suite)
    assert len(data.split("validation").images) == 18
    assert not set(data.split("validation").digests) & set(data.split("calibration").digests)
    test = (project / "suites" / "yolov8n" / "test_yolov8n.py").read_text()
    assert "budget.check()" in test


def test_images_without_annotations_are_held_to_agreement(project: Path) -> None:
    """No score is asked for that nobody could compute."""
    (project / "data" / "images.json").unlink()
    assert main(["init", "--model", "yolov8n.onnx", "--data", "data", "--name", "bare"]) == 0
    suite = suite_of(project, "bare")
    assert set(limits(suite, "int8")) == {"agreement", "score_shift", *EVERY}
    assert set(limits(suite, "fp32")) == EVERY
    assert not SuiteData(suite).split("validation").annotated


@pytest.mark.parametrize(
    ("features", "reduced"),
    [(("avx2",), True), (("avx2", "avx512_vnni"), False), (("asimd",), False)],
)
def test_weights_have_7_bits_where_8_would_overflow(
    project: Path, monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], reduced: bool
) -> None:
    """On x86 before VNNI."""
    machine = fingerprint.this_machine().model_copy(update={"features": features})
    monkeypatch.setattr(fingerprint, "this_machine", lambda: machine)
    assert main(["init", "--model", "yolov8n.onnx", "--data", "data"]) == 0
    (step,) = suite_of(project, "yolov8n").recipes["int8"].chain
    assert step.options["reduce_range"] == reduced


@pytest.mark.parametrize("labelled", [True, False])
def test_a_classifier_and_its_folders(project: Path, labelled: bool) -> None:
    """With a folder for each class accuracy is budgeted, else agreement."""
    shaped(project / "net.onnx", [["n", 2]], image=["n", 3, 8, 8])
    names = ("cat", "dog") if labelled else (".",)
    fill(project / "sorted", *(f"{name}/{index}.png" for name in names for index in range(20)))
    assert main(["init", "--model", "net.onnx", "--data", "sorted"]) == 0
    suite = suite_of(project, "net")
    assert suite.task == "classification"
    assert ("accuracy" in limits(suite, "int8")) == labelled
    assert ("agreement" in limits(suite, "int8")) == (not labelled)
    validation = SuiteData(suite).split("validation")
    assert validation.labelled == labelled
    assert len(validation.images) == (30 if labelled else 15)


def test_a_model_outside_the_project_is_linked_to(project: Path) -> None:
    """And data there are named by their absolute path; neither is copied."""
    model, data = project.parent / "store.onnx", project.parent / "set"
    (project / "yolov8n.onnx").rename(model)
    (project / "data").rename(data)
    assert main(["init", "--model", str(model), "--data", str(data)]) == 0
    link = project / "suites" / "store" / "model.onnx"
    assert link.resolve() == model.resolve()
    validation: Any = suite_of(project, "store").data["validation"]
    assert validation["images"] == str(data / "images")


def test_too_few_images_get_no_budget_on_scores(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather than one that they cannot decide."""
    for file in sorted((project / "data" / "images").iterdir())[2:]:
        file.unlink()
    assert main(["init", "--model", "yolov8n.onnx", "--data", "data"]) == 0
    out = capsys.readouterr().out
    assert "add validation images" in out
    assert set(limits(suite_of(project, "yolov8n"), "fp32")) == EVERY


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "yolov8n.onnx"], "--data is missing"),
        (["--data", "data"], "--model is missing"),
        (
            ["--model", "data/images.json", "--data", "data"],
            "is no file whose outputs can be read here",
        ),
        (["--model", "gone.onnx", "--data", "data"], "No such file"),
        (["--model", "text.onnx", "--data", "data"], "no ONNX graph"),
        (["--model", "numbers.onnx", "--data", "data"], "takes images int64 (1, 3, 64, 64)"),
        (["--model", "yolov8n.onnx", "--data", "gone"], "there is no such folder"),
        (["--model", "yolov8n.onnx", "--data", "empty"], "there are no images"),
        (["--model", "yolov8n.onnx", "--data", "data", "--name", "../x"], "cannot be a suite's"),
        (["--model", "yolov8n.onnx", "--data", "data", "--decode", "yolo"], "no decoder 'yolo'"),
    ],
)
def test_what_cannot_be_used_is_one_error(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    """With what is valid; nothing is written."""
    import onnx

    model = onnx.load("yolov8n.onnx")
    del model.graph.input[:]
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("images", onnx.TensorProto.INT64, [1, 3, 64, 64])
    )
    onnx.save(model, "numbers.onnx")
    Path("text.onnx").write_text("no graph")
    Path("empty").mkdir()
    assert main(["init", *words]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    if "No such file" not in says:
        assert "valid:" in error
    assert not (project / "suites").exists()


def test_other_inputs_than_images_in_floats_have_their_keys(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes have no mean; an input beside them has the rule that is usual for its name, or a guess
    that is said to be one.
    """
    import onnx

    value, proto = onnx.helper.make_tensor_value_info, onnx.TensorProto
    model = onnx.load("yolov8n.onnx")
    del model.graph.input[:]
    model.graph.input.extend(
        [
            value("scale_factor", proto.FLOAT, [1, 2]),
            value("images", proto.UINT8, [1, 64, 64, 3]),
            value("input.1", proto.FLOAT, [1]),
        ]
    )
    onnx.save(model, "bytes.onnx")
    assert main(["init", "--model", "bytes.onnx", "--data", "data"]) == 0
    pixels = suite_of(project, "bytes").input
    assert list(pixels["size"]) == [64, 64]
    assert (pixels["dtype"], pixels["layout"]) == ("uint8", "NHWC")
    assert "mean" not in pixels
    assert pixels["others"]["scale_factor"]["rule"] == "scale"
    assert list(pixels["others"]["input.1"]["value"]) == [0.5]
    out = capsys.readouterr().out
    assert "0 to 255" in out
    assert "not known: what the input input.1 is" in out


def test_nothing_is_replaced(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run names another name, and the first suite stays."""
    words = ["init", "--model", "yolov8n.onnx", "--data", "data"]
    assert main(words) == 0
    file = project / "suites" / "yolov8n" / "recipes.toml"
    file.write_text("mine")
    assert main(words) == 1
    assert "--name OTHER" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main([*words, "--name", "other"]) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ".perfgate/\nreports/\n"),
        ("*.pyc", "*.pyc\n.perfgate/\nreports/\n"),
        ("/reports\n.perfgate\n", "/reports\n.perfgate\n"),
    ],
)
def test_git_sees_nothing_that_sessions_write(
    project: Path, before: str | None, after: str
) -> None:
    """Lines of the project's own stay."""
    if before is not None:
        (project / ".gitignore").write_text(before)
    assert main(["init"]) == 0
    assert (project / ".gitignore").read_text() == after


def test_no_framework_is_imported(project: Path) -> None:
    """Reading a model runs nothing of it."""
    code = (
        "import sys; from pytest_perfgate.cli.main import main\n"
        "code = main(['init', '--model', 'yolov8n.onnx', '--data', 'data'])\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)\n"
        "print(heavy, file=sys.stderr); sys.exit(code or bool(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_names_that_a_list_cannot_hold_are_left_out(project: Path) -> None:
    """A comment is no image."""
    fill(project / "odd", "#1.png", *(f"{index}.png" for index in range(8)))
    assert main(["init", "--model", "yolov8n.onnx", "--data", "odd", "--name", "odd"]) == 0
    validation = SuiteData(suite_of(project, "odd")).split("validation")
    assert "#1.png" not in validation.instances.files
    assert all(isinstance(image, np.ndarray) for image in validation.images)


def test_an_ir_and_a_tflite_file_get_recipes_of_their_own_runtimes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An IR outside the project is linked to with its weights; 8 bits by the step that takes it."""
    openvino = pytest.importorskip("openvino", reason="pip install 'pytest-perfgate[openvino]'")
    model = openvino.convert_model(str(project / "yolov8n.onnx"))
    openvino.save_model(model, project.parent / "store.xml")
    assert main(["init", "--model", str(project.parent / "store.xml"), "--data", "data"]) == 0
    suite = suite_of(project, "store")
    assert suite.model.name == "model.xml"
    assert (suite.folder / "model.bin").resolve() == project.parent / "store.bin"
    assert {name: recipe.runtime.name for name, recipe in suite.recipes.items()} == {
        "openvino": "openvino",
        "int8": "openvino",
    }
    assert [step.name for step in suite.recipes["int8"].chain] == ["nncf"]
    assert suite.output["decode"] == "ultralytics"
    small = Path(__file__).parents[1] / "blackbox" / "bright.tflite"
    shutil.copy(small, project / "bright.tflite")
    fill(project / "sorted", *(f"{name}/{row}.png" for name in ("a", "b") for row in range(20)))
    assert main(["init", "--model", "bright.tflite", "--data", "sorted"]) == 0
    lite = suite_of(project, "bright")
    assert (lite.task, list(lite.recipes)) == ("classification", ["litert"])
    assert "int8         left out" in capsys.readouterr().out
