"""A project's own functions for the stages before and after inference."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError, RecipeError
from pytest_perfgate.tasks.classification import Classification
from pytest_perfgate.tasks.classification import Output as Classes
from pytest_perfgate.tasks.detection import Detection, Input, Output
from pytest_perfgate.tasks.pixels.geometry import Placed

IMAGE = np.full((20, 40, 3), 255, np.uint8)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts functions into the module `own_stages`."""
    module = ModuleType("own_stages")
    monkeypatch.setitem(sys.modules, "own_stages", module)

    def put(**functions: Any) -> None:
        vars(module).update(functions)

    return put


def halved(image: Any) -> tuple[Any, Placed]:
    """Half of the rows and columns, by hand."""
    small = image[::2, ::2].transpose(2, 0, 1).astype(np.float32) / 255
    return small, Placed((0.5, 0.5), image.shape[:2], small.shape[1:])


def detector(**output: Any) -> Any:
    """Stages of a detector with `own_stages:prepare`."""
    options = Input(preprocess="own_stages:prepare")
    return Detection().pipeline(options, Output.model_validate(output))


def test_a_decoder_maps_boxes_back_by_the_functions_place(own: Callable[..., None]) -> None:
    """The function's array is the input as it is, for one image and for two."""
    own(prepare=halved)
    stages = detector()
    inputs, places = stages.preprocess([IMAGE, IMAGE])
    assert inputs.images.shape == (2, 3, 10, 20)
    assert inputs.images.dtype == np.float32
    boxes = np.tile(np.array([[[2, 3, 4, 5]]], np.float32), (2, 1, 1))
    for prediction in stages.postprocess((boxes, np.ones((2, 1, 1), np.float32)), places):
        np.testing.assert_array_equal(prediction.boxes, [[4, 6, 8, 10]])


def test_both_functions_replace_all_of_the_declared_stages(own: Callable[..., None]) -> None:
    """What the first says of an image reaches the second; predictions are sorted and typed."""

    def predict(outputs: tuple[Any, ...], infos: Any) -> Any:
        (logits,) = outputs
        boxes = np.array([[0, 0, 1, 1], [2, 2, 5, 5]]) * infos[0]
        return [(boxes, row, np.array([0, 1])) for row in logits]

    own(prepare=lambda image: (halved(image)[0], 3), predict=predict)
    stages = detector(postprocess="own_stages:predict")
    _, infos = stages.preprocess([IMAGE])
    (prediction,) = stages.postprocess((np.array([[0.25, 0.75]]),), infos)
    np.testing.assert_array_equal(prediction.boxes, [[6, 6, 15, 15], [0, 0, 3, 3]])
    assert prediction.categories.tolist() == [1, 0]
    assert prediction.scores.dtype == prediction.boxes.dtype == np.float32


def test_scores_of_a_classifier_are_the_functions(own: Callable[..., None]) -> None:
    """(C,) per image; anything else is an error with the function's name."""
    own(
        prepare=lambda image: (halved(image)[0], None),
        predict=lambda outputs, _: list(outputs[0] / 2),
        one=lambda outputs, _: [0.5 for _ in outputs[0]],
        broken=lambda outputs, _: list(outputs[0] * np.nan),
    )
    options = Input(preprocess="own_stages:prepare")

    def called(name: str) -> Any:
        stages = Classification().pipeline(options, Classes(postprocess=f"own_stages:{name}"))
        _, infos = stages.preprocess([IMAGE])
        return stages.postprocess((np.array([[1.0, 0.5]]),), infos)

    np.testing.assert_array_equal(called("predict")[0].scores, [0.5, 0.25])
    with pytest.raises(
        DataError, match=r"suite.output.postprocess: own_stages:one: .* float64 \(\)"
    ):
        called("one")
    with pytest.raises(DataError, match="not finite"):
        called("broken")


def altered(image: Any) -> Any:
    """Changes the image that it was given."""
    image[:] = 0
    return halved(image)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda image: halved(image)[0], "returned ndarray"),
        (lambda image: (image.astype(float), None), r"float64 \(20, 40, 3\)"),
        (lambda image: (halved(image)[0][None], None), r"float32 \(1, 3, 10, 20\)"),
        (lambda image: (halved(image)[0], {"scale": 1}), "returned dict beside the array"),
    ],
)
def test_a_function_that_returns_something_else_is_an_error(
    own: Callable[..., None], prepare: Any, words: str
) -> None:
    """It names the function, what it returned, and what is valid."""
    own(prepare=prepare)
    with pytest.raises(DataError, match=words) as error:
        detector().preprocess([IMAGE])
    assert error.value.where == "suite.input.preprocess"
    assert error.value.problem.startswith("own_stages:prepare")
    assert error.value.valid


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        (5, "prediction is int"),
        ((np.zeros((2, 4)), np.zeros(1), np.zeros(1, int)), "shapes"),
        ((np.full((1, 4), np.nan), np.zeros(1), np.zeros(1, int)), "not finite"),
        ((np.zeros((1, 4)), np.zeros(1), np.zeros(1)), "categories are float64"),
        ((np.zeros((1, 4)), np.zeros(1), np.array([-1])), "categories"),
    ],
)
def test_boxes_that_are_none_are_an_error(
    own: Callable[..., None], prediction: Any, words: str
) -> None:
    """Of one image; and another number of predictions than images."""
    own(prepare=halved, predict=lambda *_: [prediction], few=lambda *_: [])
    stages = detector(postprocess="own_stages:predict")
    with pytest.raises(DataError, match=words):
        stages.postprocess((), (None,))
    with pytest.raises(DataError, match="own_stages:few returned 0"):
        detector(postprocess="own_stages:few").postprocess((), (None,))


def test_no_function_changes_the_image_that_the_next_turn_shows(own: Callable[..., None]) -> None:
    """Arms show an image again and again."""
    own(prepare=altered)
    with pytest.raises(ValueError, match="read-only"):
        detector().preprocess([IMAGE])
    assert IMAGE.min() == 255


def test_a_function_that_is_not_there_is_named_with_those_that_are(
    own: Callable[..., None],
) -> None:
    """Of the module, or the module itself."""
    own(other=halved)
    with pytest.raises(RecipeError, match="no function 'prepare'") as error:
        detector()
    assert error.value.valid == "other"
    with pytest.raises(RecipeError, match="beside postprocess = "):
        Output(postprocess="a.b:c", decode="detr")
