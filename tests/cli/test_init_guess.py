"""`pytest-perfgate init --model`: what is guessed of a model's file and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate import registry
from pytest_perfgate.cli.init_data import DataFacts, Pictures
from pytest_perfgate.cli.init_decodings import decodings
from pytest_perfgate.cli.init_guess import Guess, guess
from pytest_perfgate.cli.init_model import read_model
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.suite.metrics import task_of

from tests.cli.graphs import shaped, ultralytics

pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")

YOLO = {"task": "detect", "names": "{0: 'person', 1: 'dog', 2: 'traffic light'}"}


def facts(*classes: str, kind: Any = "coco") -> DataFacts:
    """Ten images of these classes."""
    images = Pictures(Path("images"), tuple(f"{index}.png" for index in range(10)), True)
    return DataFacts(kind, images, None, classes=classes)


def guessed(file: Path, data: DataFacts, task: str = "", decode: str = "") -> Guess:
    """The guesses, which the task accepts as options."""
    result = guess(read_model(file), data, task, decode)
    options = task_of(result.task)
    options.Input.model_validate(result.input)
    output = options.Output.model_validate(result.output)
    if result.task == "detection":
        decoder = registry.find(registry.DECODERS, result.output["decode"])
        decoder.Options.model_validate(dict(output.options))
    return result


@pytest.mark.parametrize("opencv", [True, False])
def test_an_export_of_ultralytics_says_nearly_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opencv: bool
) -> None:
    """Task, decoder, size, letterbox, and which of its classes are the data's, by their names; the
    library that Ultralytics resizes with, or the command that installs it.
    """
    monkeypatch.setattr(registry.Requirement, "missing", property(lambda _: not opencv))
    ultralytics(tmp_path / "m.onnx", ["person", "square", "dog"])
    result = guessed(tmp_path / "m.onnx", facts("dog", "Square"))
    assert result.task == "detection"
    assert result.output == {"decode": "ultralytics", "options": {"classes": [2, 1]}}
    letterbox = {"size": [64, 64], "resize": "letterbox", "pad_value": 114, "pad": "around"}
    assert result.input == letterbox | ({"by": "opencv"} if opencv else {})
    assert len(result.unknown) == (not opencv)
    assert all("pytest-perfgate[opencv]" in line for line in result.unknown)


@pytest.mark.parametrize(
    ("shapes", "names", "classes", "decoder"),
    [
        ([(1, 84, 8400)], 0, 80, "ultralytics"),
        ([("batch", 84, "anchors")], 80, 0, "ultralytics"),
        ([(1, 5, 8400)], 0, 1, "ultralytics"),
        ([(1, 300, 6)], 80, 80, "ultralytics_nms"),
        ([(1, 25200, 85)], 0, 80, "yolov5"),
        ([(1, 25200, 6)], 0, 1, "yolov5"),
        ([(1, 25200, 85), (1, 3, 80, 80, 85), (1, 3, 40, 40, 85)], 0, 80, "yolov5"),
        ([(1, 8400, 4), (1, 8400, 80)], 0, 80, "boxes_scores"),
        ([(1, 100, 5), (1, 100)], 0, 80, "mmdeploy_nms"),
        ([(1, 100, 92), (1, 100, 4)], 0, 91, "detr"),
        ([("n", 1, "h", "w")], 0, 1, "text_map"),
        ([("rows", 7)], 80, 80, "nms_rows"),
        ([("rows", 6), ("n",)], 0, 80, "paddle"),
        ([(1, 1), (1, 100, 4), (1, 100), (1, 100)], 0, 80, "efficient_nms"),
        ([("n", 300), ("n", 300, 4), ("n", 300)], 0, 80, "rtdetr"),
        ([("m", 4), ("m",), ("m",)], 0, 90, "torchvision"),
    ],
)
def test_the_decoder_follows_from_shapes(
    shapes: list[Any], names: int, classes: int, decoder: str
) -> None:
    """As exporters give them, with dynamic sizes too."""
    known = [f"class {index}" for index in range(names)]
    assert decodings(shapes, known, classes)[0].decoder == decoder


@pytest.mark.parametrize(
    ("shapes", "names"),
    [
        ([(1, 300, 84)], 80),  # 4 + 80 in rows: no decoder reads relative boxes and scores in one
        ([(1, 84, 8400)], 3),  # other names than classes
        ([(1, 21, 64, 64)], 0),  # a map of classes
        ([()], 0),
        ([], 0),
    ],
)
def test_outputs_that_fit_nothing_are_not_guessed(shapes: list[Any], names: int) -> None:
    """A wrong decoder gives wrong scores in silence."""
    assert decodings(shapes, ["x"] * names, 0) == []


def test_masks_are_left_out_of_the_classes(tmp_path: Path) -> None:
    """A segmentation export is scored by its boxes alone, and says so."""
    file = tmp_path / "m.onnx"
    shaped(file, [[1, 39, 8400], [1, 32, 160, 160]], metadata=YOLO | {"task": "segment"})
    result = guessed(file, facts("person", "dog", "traffic_light"))
    assert result.output == {"decode": "ultralytics", "options": {"classes": [0, 1, 2]}}
    assert any("32 mask coefficients" in line.why for line in result.lines)


@pytest.mark.parametrize(
    ("logits", "activation"), [(3, "sigmoid"), (4, "softmax")], ids=["no extra", "no object"]
)
def test_logits_with_one_class_more_have_no_object(
    tmp_path: Path, logits: int, activation: str
) -> None:
    """As DETR has, and RT-DETR has not."""
    shaped(tmp_path / "m.onnx", [[1, 100, logits], [1, 100, 4]])
    result = guessed(tmp_path / "m.onnx", facts("a", "b", "c"))
    assert result.output["decode"] == "detr"
    assert result.output["options"]["activation"] == activation
    assert result.input["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.parametrize(
    ("first", "last", "activation", "scaled"),
    [
        ("Conv", "Softmax", "none", True),
        ("Conv", "Identity", "softmax", True),
        ("Sub", "Identity", "softmax", False),
    ],
)
def test_a_classifiers_operators_say_what_is_in_the_graph(
    tmp_path: Path, first: str, last: str, activation: str, scaled: bool
) -> None:
    """A softmax at its end is not applied twice, nor a normalisation at its beginning."""
    shaped(tmp_path / "m.onnx", [["n", 3]], image=["n", 3, 224, 224], first=first, last=last)
    result = guessed(tmp_path / "m.onnx", facts("a", "b", "c", kind="classes"))
    assert result.task == "classification"
    assert result.output == {"activation": activation}
    assert ("mean" in result.input) == scaled
    assert result.input["size"] == [224, 224]


def test_a_classifier_of_ultralytics_sees_the_middle_of_a_picture(tmp_path: Path) -> None:
    """The shorter side becomes the size, and a square is cut; mean and std are none."""
    shaped(tmp_path / "m.onnx", [[1, 3]], image=[1, 3, 224, 224], metadata={"task": "classify"})
    result = guessed(tmp_path / "m.onnx", facts("a", "b", "c", kind="classes"))
    assert result.input == {"size": 224, "resize": "shorter_side", "crop": 224}


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    """Any size, and other classes than the data's without names."""
    shaped(tmp_path / "m.onnx", [["n", 1000]], image=["n", 3, "h", "w"])
    result = guessed(tmp_path / "m.onnx", facts("cat", "dog", kind="classes"))
    told = " ".join(result.unknown)
    for words in ("the graph takes any", "2 of the network's 1000 classes", "mean and std"):
        assert words in told


def test_the_truth_of_another_task_is_not_used(tmp_path: Path) -> None:
    """Boxes say nothing of a classifier's classes, nor folders of a detector's."""
    shaped(tmp_path / "net.onnx", [["n", 2]])
    shaped(tmp_path / "yolo.onnx", [[1, 7, 8400]], metadata=YOLO)
    for file, kind in (("net.onnx", "coco"), ("yolo.onnx", "classes")):
        result = guessed(tmp_path / file, facts("dog", "person", kind=kind))
        assert "classes" not in {**result.output, **result.output.get("options", {})}
        assert any(line.what == "scores" for line in result.lines)


def test_names_without_a_twin_are_named(tmp_path: Path) -> None:
    """No class is guessed by its place where names say otherwise."""
    shaped(tmp_path / "m.onnx", [[1, 7, 8400]], metadata=YOLO)
    result = guessed(tmp_path / "m.onnx", facts("person", "zebra"))
    assert "classes" not in result.output.get("options", {})
    assert any("zebra" in sentence for sentence in result.unknown)


@pytest.mark.parametrize(
    ("metadata", "outputs", "says"),
    [
        ({"task": "pose"}, [[1, 56, 8400]], "the task is 'pose'"),
        ({}, [[1, 2, 3, 4, 5]], "the outputs fit no task: output0 float32 (1, 2, 3, 4, 5)"),
        ({}, [[1, 21, 64, 64]], "no task that init writes a suite for: output0 float32 (1, 21, "),
    ],
)
def test_a_task_that_is_not_known_is_one_error(
    tmp_path: Path, metadata: dict[str, str], outputs: list[Any], says: str
) -> None:
    """With what is valid and the option that decides it."""
    shaped(tmp_path / "m.onnx", outputs, metadata=metadata)
    with pytest.raises(RecipeError) as caught:
        guess(read_model(tmp_path / "m.onnx"), facts("a"))
    assert says in caught.value.problem
    assert "--task" in caught.value.next_step
    assert caught.value.valid


@pytest.mark.parametrize(("named", "task"), [("pose", "pose"), ("obb", "oriented")])
def test_a_task_that_init_writes_no_suite_for_is_named(
    tmp_path: Path, named: str, task: str
) -> None:
    """With the page that has a suite for it."""
    shaped(tmp_path / "m.onnx", [[1, 56, 8400]], metadata={"task": named})
    with pytest.raises(RecipeError) as caught:
        guess(read_model(tmp_path / "m.onnx"), facts("a"))
    assert f'write task = "{task}", as docs/' in caught.value.next_step


def test_options_decide(tmp_path: Path) -> None:
    """`--task` and `--decode` are taken as they are."""
    shaped(tmp_path / "m.onnx", [[1, 300, 84]])
    result = guessed(tmp_path / "m.onnx", facts("a"), "detection", "detr")
    assert (result.task, result.output["decode"]) == ("detection", "detr")


@pytest.mark.parametrize(
    "names",
    ["__import__('os').system('touch ran')", "{0: 'a', 2: 'b'}", "{", "9" * 10_000, "[" * 10_000],
)
def test_metadata_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    """Names that are no list of names are none."""
    monkeypatch.chdir(tmp_path)
    shaped(tmp_path / "m.onnx", [[1, 6, 8400]], metadata={"task": "detect", "names": names})
    assert read_model(tmp_path / "m.onnx").names == ()
    assert not (tmp_path / "ran").exists()
