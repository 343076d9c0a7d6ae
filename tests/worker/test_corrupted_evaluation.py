"""Scores of corrupted images in a worker: of each kind of task, in parts, and where none can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.robustness import images_of
from pytest_perfgate.stats.influence import Influence
from pytest_perfgate.suite.reading import read
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval
from pytest_perfgate.worker import corrupted_evaluation, prepare, protocol

from tests.blackbox import test_classification, test_segmentation
from tests.squares import squares_project

pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")
pytest.importorskip("onnxruntime", reason="pip install 'pytest-perfgate[onnx]'")

RECIPE = '[[recipe]]\nname = "plain"\nruntime = "onnxruntime"\n'
SQUARES = """\
[suite]
task  = "detection"
model = "squares.onnx"
batch = 5
[suite.data]
validation  = { images = "validation", annotations = "validation.json" }
"""
COLOURS = """\
[suite]
task  = "classification"
model = "colours.onnx"
batch = 4
[suite.data]
validation  = { images = "validation" }
"""


def accuracy_of(folder: Path, suite: str, corruptions: str) -> Accuracy:
    """The accuracy of a recipe that is prepared here."""
    answer = prepared(folder, suite, corruptions)
    assert isinstance(answer, protocol.Prepared), answer
    return answer.accuracy


def prepared(folder: Path, suite: str, corruptions: str) -> protocol.Message:
    """What the worker says at its end of a recipe that it prepares."""
    text = f"{suite}\n[suite.corruptions]\n{corruptions}\n{RECIPE}"
    (folder / "recipes.toml").write_text(text)
    result = read(folder / "recipes.toml", folder)
    assert result.suite is not None, result.suite_problems
    messages: list[protocol.Message] = []
    job = protocol.PrepareJob(result.suite, "plain", folder / "cache", folder / "images.npz")
    prepare.prepare(job, messages.append)
    return messages[-1]


def test_the_mean_colour_of_a_picture_survives(tmp_path: Path) -> None:
    """A classifier by that colour keeps its accuracy, also where pictures are stretched; some other
    pictures could be lost, so the interval is wider than its value, and the same scores differ by
    nothing.
    """
    test_classification.colours(tmp_path, "validation", 1)
    test_classification.classifier(tmp_path / "colours.onnx")
    names = ("gaussian_noise", "elastic_transform", "frost")
    accuracy = accuracy_of(tmp_path, COLOURS, f"names = {list(names)}\nseverities = [1, 5]")
    for name in names:
        assert accuracy.values[f"accuracy@{name}"] > 0.9, name
    assert accuracy.values["robustness"] == pytest.approx(1.0, abs=0.05)
    assert accuracy.ratios["robustness"].denominator.array().sum() == 60 * 3 * 2
    interval = accuracy_interval(accuracy, "robustness", 0.05)
    assert interval.low < interval.estimate < interval.high
    same = accuracy_difference(accuracy, accuracy, "robustness", 0.05)
    assert same is not None
    assert same.identical


def test_a_segmenter_and_a_part_of_a_detector_s_images(tmp_path: Path, tiny_suite: Path) -> None:
    """Masks and boxes stay where they are, so each has its score under each corruption. Of six of
    the images the share that is kept is relative to the score of these six.
    """
    segments = tmp_path / "segments"
    test_segmentation.colours(segments / "validation")
    test_segmentation.segmenter(segments / "colours.onnx")
    suite = test_segmentation.RECIPES.partition("[[recipe]]")[0]
    values = accuracy_of(segments, suite, 'names = ["snow", "fog"]').values
    assert 0 < values["miou@snow"] < values["miou"]
    assert 0 < values["robustness"] < 1
    detector = tmp_path / "detector"
    detector.mkdir()
    squares_project(tiny_suite, detector)
    accuracy = accuracy_of(detector, SQUARES, 'names = ["jpeg_compression"]\nimages = 6')
    assert accuracy.ratios["robustness"].denominator.array().sum() == 6
    assert accuracy.values["robustness"] == pytest.approx(1.0, abs=0.1)
    assert accuracy.images > images_of(accuracy, "robustness") == 6
    assert images_of(accuracy, "map") == accuracy.images


def scaled_classifier(folder: Path, *nodes: tuple[str, list[str], str], **given: float) -> None:
    """The classifier by colour with its logits times "factor", which `nodes` give: each an operator
    with its inputs and output; `given` are its constants.
    """
    import onnx
    from onnx import helper, numpy_helper

    test_classification.colours(folder, "validation", 1)
    test_classification.classifier(folder / "colours.onnx")
    model = onnx.load(folder / "colours.onnx")
    model.graph.node[-1].output[0] = "unscaled"
    more = (*nodes, ("Mul", ["unscaled", "factor"], "logits"))
    model.graph.node.extend(helper.make_node(kind, ins, [out]) for kind, ins, out in more)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name) for name, value in given.items()
    )
    onnx.save(model, folder / "colours.onnx")


def test_corrupted_images_are_inferred_one_at_a_time(tmp_path: Path) -> None:
    """As clean ones are: a network that is wrong about batches loses nothing here."""
    scaled_classifier(
        tmp_path,
        ("Sub", ["flat", "flat"], "nothing"),
        ("Exp", ["nothing"], "ones"),
        ("ReduceSum", ["ones"], "thrice"),
        ("Mul", ["thrice", "third"], "batch"),
        ("Sub", ["most", "batch"], "factor"),
        third=1 / 3,
        most=1.5,
    )
    accuracy = accuracy_of(tmp_path, COLOURS, 'names = ["pixelate"]\nseverities = [1]')
    assert accuracy.values["accuracy@pixelate"] > 0.9
    assert accuracy.values["robustness"] == pytest.approx(1.0, abs=0.05)


def test_outputs_without_a_value_are_no_low_score(tmp_path: Path) -> None:
    """The image and its corruption are named, as of clean images."""
    scaled_classifier(
        tmp_path,
        ("ReduceMax", ["flat"], "light"),
        ("Sub", ["most", "light"], "room"),
        ("Sqrt", ["room"], "factor"),
        most=0.65,
    )
    answer = prepared(tmp_path, COLOURS, 'names = ["brightness"]\nseverities = [5]')
    assert isinstance(answer, protocol.Failed)
    assert answer.problem == (
        "output 0 of validation image 0 under brightness of severity 5 has no finite value"
    )


def test_where_nothing_can_be_kept_nothing_is_measured() -> None:
    """A score of 0, one that is missing, or one in doubt has no share; the budget says why."""
    base = Accuracy(values={"map": 0.0}, images=2, data_digest="", predictions_digest="")
    obstacle = corrupted_evaluation._obstacle
    assert obstacle(base, "map") == "map is 0 on clean images, and none of it can be kept"
    missing = base.model_copy(
        update={"values": {}, "unmeasured": {"map": "the data has no labels"}}
    )
    assert obstacle(missing, "map") == "the data has no labels"
    nothing = Influence(0.0, np.zeros(2), np.ones(2))
    scores = corrupted_evaluation._scores("map", nothing, {"fog": nothing}, 1)
    assert scores.values == {}
    assert set(scores.unmeasured) == {"robustness", "map@fog"}
