"""Every budget of the segmenters' suites: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from pytest_perfgate.records.accuracy import Accuracy  # noqa: E402 - after what may skip
from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.segmentation import METRICS, Segmentation  # noqa: E402 - same
from pytest_perfgate.tasks.segmentation.data import SegmentationData, Segments  # noqa: E402 - same

from suites.segments import data, model  # noqa: E402 - same
from suites.text_kernels import data as kernels  # noqa: E402 - same
from tests.suites import breaking  # noqa: E402 - same

SCENES = 80

BUDGETS = [
    (name, recipe, budget)
    for name in ("segments", "text_kernels")
    for recipe in breaking.suite(name).recipes.values()
    for budget in recipe.budgets
]


@dataclass(frozen=True)
class Segmented:
    """What networks predict of some validation images.

    Attributes:
        right: the trained one; for text what the masks say.
        saturated: in codes of 8 bits whose range was calibrated far too small.
        shifted: some pixels down.
        reordered: with the class after the right one.
    """

    right: Accuracy
    saturated: Accuracy
    shifted: Accuracy
    reordered: Accuracy

    def worse(self, metric: str, is_reference: bool) -> list[Accuracy]:
        """Accuracies that break a budget on a metric. Nineteen pixels of twenty are background: a
        network that finds nothing else keeps its share of pixels.
        """
        if metric not in {"miou", "boundary_f"}:
            return [self.reordered]
        return [self.saturated] if is_reference else [self.saturated, self.shifted]


def _predictions(network: Any, images: list[Any]) -> list[Any]:
    task = Segmentation()
    pipeline = task.pipeline(task.Input(), task.Output())
    predictions: list[Any] = []
    with torch.inference_mode():
        for begin in range(0, len(images), 20):
            inputs, meta = pipeline.preprocess(images[begin : begin + 20])
            outputs = network(torch.from_numpy(inputs.images)).numpy()
            predictions += pipeline.postprocess((outputs,), meta)
    return predictions


def _saturated(network: Any) -> Any:
    """Activations cut off at a tenth of a usual range, in 255 steps."""

    def cut(_module: Any, _inputs: Any, output: Any) -> Any:
        return torch.round(output.clamp(0, 0.6) * 255 / 0.6) * 0.6 / 255

    for layer in network.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(cut)
    return network


def _accuracies(
    some: SegmentationData, right: list[Any], saturated: list[Any], shift: int
) -> Segmented:
    """Accuracies over some images, each beside the right one; shifted by so many pixels."""
    task, classes = Segmentation(), len(some.classes)
    shifted = [Segments(np.roll(one.labels, shift, axis=0), one.scores, classes) for one in right]
    reordered = [
        Segments((one.labels + 1) % classes, np.roll(one.scores, 1, axis=1), classes)
        for one in right
    ]
    sides = (right, saturated, shifted, reordered)
    return Segmented(*(breaking.accuracy_beside(task, some, side, right) for side in sides))


def _digits() -> Segmented:
    composer = data.MaskComposer(data.SPLITS["validation"], 77)
    scenes = [composer.masked() for _ in range(SCENES)]
    images = [scene.image for scene in scenes]
    masks = [scene.mask for scene in scenes]
    some = SegmentationData(images, masks, data.CLASSES, ignore_index=data.IGNORED)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other on a shared core
    right = _predictions(model.build(), images)
    saturated = _predictions(_saturated(model.build()), images)
    torch.set_num_threads(threads)
    return _accuracies(some, right, saturated, 4)


def _text() -> Segmented:
    some = kernels.masked(60, seed=3)
    scores = np.tile(np.array([0.9, 0.1], np.float32), (144, 1))
    right = [Segments(mask, scores, 2) for mask in some.masks]
    saturated = [Segments(np.zeros_like(mask), scores, 2) for mask in some.masks]
    return _accuracies(some, right, saturated, 12)


@pytest.fixture(scope="module")
def segmented() -> dict[str, Segmented]:
    """Of each suite."""
    return {"segments": _digits(), "text_kernels": _text()}


@pytest.mark.parametrize(
    ("suite", "recipe", "budget"),
    BUDGETS,
    ids=[f"{suite}-{recipe.name}-{one.metric}" for suite, recipe, one in BUDGETS],
)
def test_it_can_break(
    suite: str, recipe: Recipe, budget: Budget, segmented: dict[str, Segmented]
) -> None:
    """By a network in 8 bits with a bad calibration, shifted masks or classes in another order; or
    by values that are far worse.
    """
    ours = segmented[suite]

    def status(candidate: breaking.RecipeRecord) -> Status:
        return breaking.status(budget, recipe, candidate, ours.right, METRICS)

    assert status(breaking.record(recipe, ours.right)) is Status.PASS
    if budget.metric not in METRICS:
        assert status(breaking.far_worse(recipe, ours.right)) is Status.FAIL
        return
    for accuracy in ours.worse(budget.metric, recipe.is_reference):
        assert status(breaking.record(recipe, accuracy)) is Status.FAIL


def test_text_is_segmented_by_a_network_that_comes_as_it_is() -> None:
    """PP-OCR's map of text, by the suite's declared stages: most of the kernels of some pages."""
    runtime = pytest.importorskip("onnxruntime")
    rapidocr = pytest.importorskip("rapidocr", reason="python -m pip install rapidocr")
    suite, task = breaking.suite("text_kernels"), Segmentation()
    pipeline = task.pipeline(
        task.Input.model_validate(dict(suite.input)),
        task.Output.model_validate(dict(suite.output)),
    )
    file = Path(rapidocr.__file__).parent / "models/PP-OCRv6_det_small.onnx"
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    some, predictions = kernels.masked(4, seed=12), []
    for image in some.images:
        batch, meta = pipeline.preprocess([image])
        outputs = session.run(None, {session.get_inputs()[0].name: batch.images})
        predictions += pipeline.postprocess(tuple(outputs), meta)
    values = task.evaluate(some, predictions).values
    assert values["miou"] > 0.8
    assert values["boundary_f"] > 0.9


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and logits at a quarter of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 64, 96)).shape == (2, model.CLASSES, 16, 24)
