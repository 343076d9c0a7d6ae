"""Classes by their names: a file, a model's metadata, ImageNet's synsets, a background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.suite.reading import SuiteFile, read
from pytest_perfgate.tasks.class_names import matched
from pytest_perfgate.tasks.classification import Classification, Input, Output
from pytest_perfgate.tasks.classification.data import ClassificationData
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.detection import Output as Boxes
from pytest_perfgate.tasks.detection.data import DetectionData

IMAGENET = [
    "n01440764 tench, Tinca tinca",
    "n01443537 goldfish",
    "n02012849 crane",
    "n03126707 crane",
]


@given(
    order=st.permutations(range(6)),
    count=st.integers(1, 6),
    background=st.sampled_from([None, 0, 3, 6]),
)
@settings(max_examples=60, deadline=None)
def test_every_class_is_found_at_its_place(
    order: list[int], count: int, background: int | None
) -> None:
    """Whatever the order, the subset and the place of a background without a name."""
    names = [f"Class {index}" for index in range(6)]
    network = list(range(6))
    if background is not None:
        network.insert(background, -1)
    wanted = order[:count]
    indices, total = matched(names, [f"class_{index}" for index in wanted], background)
    assert [network[index] for index in indices] == wanted
    assert total == len(network)


def test_synsets_and_words_of_imagenet() -> None:
    """Folders are called by synsets; a word that two classes have says nothing."""
    assert matched(IMAGENET, ["n01443537", "tinca-tinca", "n03126707"], None) == ((1, 0, 3), 4)
    assert matched(["background", *IMAGENET], ["Goldfish"], 0) == ((2,), 5)
    with pytest.raises(DataError, match="2 classes that are called 'crane': 2, 3"):
        matched(IMAGENET, ["crane"], None)
    with pytest.raises(DataError) as caught:
        matched(["person", "car"], ["persn", "car"], None)
    assert "1 of the data's 2 classes are not among the network's 2: persn" in caught.value.problem
    assert caught.value.valid == "person, car; did you mean 'person'?"


def stages(output: Output, classes: tuple[str, ...]) -> Any:
    """The pipeline of a classifier on data with these classes."""
    images = [np.full((4, 4, 3), index, np.uint8) for index in range(2)]
    data = ClassificationData(images, [0] * 2 if classes else [], classes)
    return Classification().pipeline(Input(), Classification().fit_output(output, lambda: data))


def scores(built: Any, row: list[float]) -> list[float]:
    """The scores of one picture."""
    _, meta = built.preprocess([np.zeros((4, 4, 3), np.uint8)])
    (one,) = built.postprocess((np.array([row], np.float32),), meta)
    return [round(float(score), 4) for score in one.scores]


def test_a_classifiers_scores_are_those_of_the_datas_classes() -> None:
    """By name, with a background, and with both; data without labels has all but the background."""
    row = [0.1, 0.2, 0.3, 0.4]
    none = {"activation": "none"}
    names = ("background", "cat", "dog", "emu")
    by_name = Output(classes=names, **none)
    assert scores(stages(by_name, ("emu", "cat")), row) == [0.4, 0.2]
    assert scores(stages(Output(background=0, **none), ("x", "y", "z")), row) == row[1:]
    both = Output(classes=names[1:], background=0, **none)
    assert scores(stages(both, ("dog", "cat")), row) == [0.3, 0.2]
    assert scores(stages(both, ()), row) == row[1:]


def test_a_network_with_another_number_of_classes_than_names_is_an_error() -> None:
    """1,001 outputs and 1,000 names: every class would be its neighbour."""
    built = stages(Output(classes=("cat", "dog", "emu")), ("dog", "cat"))
    with pytest.raises(DataError, match="gives 4 classes, and 3 are named") as caught:
        scores(built, [0.1, 0.2, 0.3, 0.4])
    assert "background = 0" in caught.value.next_step


def test_a_detectors_categories_by_name() -> None:
    """Lists and tables of scores; a label beyond the names is an error."""
    coco = {
        "images": [{"id": 1, "width": 8, "height": 8}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [0, 0, 4, 4]}],
        "categories": [{"id": 5, "name": "dog"}, {"id": 9, "name": "cat"}],
    }
    task, data = Detection(), DetectionData([np.zeros((8, 8, 3), np.uint8)], coco)
    output = Boxes(decode="ultralytics_nms", options={"classes": ["cat", "emu", "dog"]})
    fitted = task.fit_output(output, lambda: data)
    assert fitted.options == {"classes": (2, 0), "class_count": 3}
    built = task.pipeline(Input(), fitted)
    _, meta = built.preprocess(data.images)
    rows = np.array([[[0, 0, 4, 4, 0.9, 2], [0, 0, 4, 4, 0.8, 1]]], np.float32)
    (prediction,) = built.postprocess((rows,), meta)
    assert prediction.categories.tolist() == [0]
    rows[0, 1, 5] = 3
    with pytest.raises(DataError, match="gives a class 3, and 3 are named"):
        built.postprocess((rows,), meta)
    unknown = DetectionData(data.images, coco, annotated=False)
    assert task.fit_output(output, lambda: unknown).options == {}


def suite(folder: Path, classes: str, model: str = "x.onnx") -> SuiteFile:
    """A suite of a detector whose classes are named."""
    (folder / "recipes.toml").write_text(
        f'[suite]\ntask = "detection"\nmodel = "{model}"\n[suite.data]\nvalidation = "a:b"\n'
        f'[suite.output]\ndecode = "ultralytics"\noptions = {{ classes = "{classes}" }}\n'
        '[[recipe]]\nname = "plain"\nruntime = "onnxruntime"\n'
    )
    return read(folder / "recipes.toml", folder)


def test_names_are_read_with_the_suite(tmp_path: Path) -> None:
    """From a file beside it, or from the model."""
    pytest.importorskip("onnx", reason="pip install 'pytest-perfgate[onnx]'")
    from tests.cli.graphs import shaped

    shaped(tmp_path / "x.onnx", [[1, 7, 8400]], metadata={"names": "{0: 'a', 1: 'b'}"})
    (tmp_path / "names.txt").write_text("\ufeffcat\nbig dog\n\n", "utf-8")
    named = suite(tmp_path, "names.txt").suite
    assert named is not None
    assert named.output["options"]["classes"] == ["cat", "big dog"]
    held = suite(tmp_path, "metadata").suite
    assert held is not None
    assert held.output["options"]["classes"] == ["a", "b"]


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        ("missing.txt", "the file 'missing.txt' does not exist"),
        ("../names.txt", "leaves the project"),
        ("binary.txt", "cannot be read"),
        ("empty.txt", "holds no names of classes"),
        ("metadata", "holds no names of classes"),
    ],
)
def test_names_that_cannot_be_read_are_an_error_of_their_key(
    tmp_path: Path, classes: str, problem: str
) -> None:
    """Before any work."""
    from tests.sources.graphs import IMAGES

    (tmp_path / "x.onnx").write_bytes(IMAGES)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "empty.txt").write_text("\n")
    (error,) = suite(tmp_path, classes).suite_problems
    assert problem in error.problem
    assert error.where == "recipes.toml: suite.output.options.classes"
