"""`pytest-perfgate init --model`: what is guessed of a model's file and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate import registry
from pytest_perfgate.cli.init_decodings import decodings
from pytest_perfgate.cli.init_facts import DataFacts, Pictures
from pytest_perfgate.cli.init_guess import Guess, guess
from pytest_perfgate.cli.init_model import read_model
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.suite.metrics import task_of

from tests.cli.graphs import shaped, ultralytics
from tests.clips import clips_model

pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")

YOLO = {"task": "detect", "names": "{0: 'person', 1: 'dog', 2: 'traffic light'}"}


def facts(*classes: str, tasks: tuple[str, ...] = ("detection",), **more: Any) -> DataFacts:
    """Ten images of these classes, with the truth of these tasks."""
    images = Pictures(Path("images"), tuple(f"{index}.png" for index in range(10)), True)
    return DataFacts(tasks, images, None, classes=classes, **more)


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
    result = guessed(tmp_path / "m.onnx", facts("a", "b", "c", tasks=("classification",)))
    assert result.task == "classification"
    assert result.output == {"activation": activation}
    assert ("mean" in result.input) == scaled
    assert result.input["size"] == [224, 224]


def test_a_classifier_of_ultralytics_sees_the_middle_of_a_picture(tmp_path: Path) -> None:
    """The shorter side becomes the size, and a square is cut; mean and std are none."""
    shaped(tmp_path / "m.onnx", [[1, 3]], image=[1, 3, 224, 224], metadata={"task": "classify"})
    result = guessed(tmp_path / "m.onnx", facts("a", "b", "c", tasks=("classification",)))
    assert result.input == {"size": 224, "resize": "shorter_side", "crop": 224}


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    """Any size, and other classes than the data's without names."""
    shaped(tmp_path / "m.onnx", [["n", 1000]], image=["n", 3, "h", "w"])
    result = guessed(tmp_path / "m.onnx", facts("cat", "dog", tasks=("classification",)))
    told = " ".join(result.unknown)
    for words in ("the graph takes any", "2 of the network's 1000 classes", "mean and std"):
        assert words in told


def test_the_truth_of_another_task_is_not_used(tmp_path: Path) -> None:
    """Boxes say nothing of a classifier's classes, nor folders of a detector's."""
    shaped(tmp_path / "net.onnx", [["n", 2]])
    shaped(tmp_path / "yolo.onnx", [[1, 7, 8400]], metadata=YOLO)
    for file, task in (("net.onnx", "detection"), ("yolo.onnx", "classification")):
        result = guessed(tmp_path / file, facts("dog", "person", tasks=(task,)))
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
        ({"task": "depth"}, [[1, 1, 64, 64]], "the task is 'depth'"),
        ({}, [[1, 2, 3, 4, 5]], "the outputs fit no task: output0 float32 (1, 2, 3, 4, 5)"),
        ({"task": "pose"}, [[1, 4, 8400]], "the data has the truth of: detection"),
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


SEGMENTS = {"things": (True, False)}


@pytest.mark.parametrize(
    ("outputs", "metadata", "data", "task", "output"),
    [
        (
            [[1, 2, 64, 64]],
            {},
            facts("a", "b", tasks=("segmentation",)),
            "segmentation",
            {"format": "classes"},
        ),
        (
            [[1, 64, 64, 3]],
            {},
            facts("a", "b", "c", tasks=("segmentation",)),
            "segmentation",
            {"format": "classes", "layout": "NHWC"},
        ),
        (
            [[1, 1, 64, 64]],
            {},
            facts("a", "b", tasks=("segmentation",)),
            "segmentation",
            {"format": "binary"},
        ),
        ([[1, 21, 64, 64]], {}, facts(tasks=()), "segmentation", {"format": "classes"}),
        (
            [[1, 39, 8400], [1, 32, 160, 160]],
            YOLO | {"task": "segment"},
            facts("dog", "person", "traffic light", tasks=("instances", "detection")),
            "instances",
            {"decode": "ultralytics_seg", "options": {"classes": [1, 0, 2]}},
        ),
        (
            [["m", 4], ["m"], ["m"], ["m", 1, "h", "w"]],
            {},
            facts("a", tasks=("instances", "detection")),
            "instances",
            {"decode": "mask_rcnn"},
        ),
        (
            [[1, 100, 3], [1, 100, 64, 64]],
            {},
            facts("a", "b", tasks=("panoptic",), **SEGMENTS),
            "panoptic",
            {"format": "queries", "stuff": [1]},
        ),
        (
            [[1, 64, 64], [1, 30, 3]],
            {},
            facts("a", "b", tasks=("panoptic",), **SEGMENTS),
            "panoptic",
            {"format": "segments"},
        ),
        (
            [[1, 56, 8400]],
            {"task": "pose", "kpt_shape": "[17, 3]"},
            facts("person", tasks=("pose", "detection"), keypoints=17),
            "pose",
            {"format": "ultralytics"},
        ),
        (
            [[1, 17, 64, 48]],
            {},
            facts("person", tasks=("pose", "detection"), keypoints=17),
            "pose",
            {"format": "heatmaps"},
        ),
        (
            [[1, 8, 8400]],
            YOLO | {"task": "obb"},
            facts("dog", "person", "traffic light", tasks=("oriented",)),
            "oriented",
            {"format": "ultralytics", "classes": [1, 0, 2]},
        ),
        (
            [[1, 7, 8400]],
            YOLO,
            facts("person", tasks=("tracking",)),
            "tracking",
            {"decode": "ultralytics", "options": {"classes": [0]}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_task_follows_from_outputs_and_truth(
    tmp_path: Path,
    outputs: list[Any],
    metadata: dict[str, str],
    data: DataFacts,
    task: str,
    output: dict[str, Any],
) -> None:
    """Of one shape it is the task whose truth lies in the folder; the file's word comes first."""
    shaped(tmp_path / "m.onnx", outputs, metadata=metadata)
    result = guessed(tmp_path / "m.onnx", data)
    assert (result.task, result.output) == (task, output)


def test_an_input_that_an_output_feeds_is_a_state(tmp_path: Path) -> None:
    """By type, shape and the likest name; what is left is the network's answer."""
    clips_model(tmp_path / "m.onnx", states_first=True)
    model = read_model(tmp_path / "m.onnx")
    assert model.states == {"first_out": "first", "known_out": "known"}
    assert [one.name for one in model.outputs] == ["scores"]
    data = facts("brighter", "darker", tasks=("clip_classification",))
    assert guessed(tmp_path / "m.onnx", data).task == "clip_classification"


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
