"""Every budget of the suites of instances: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")
pytest.importorskip("faster_coco_eval")

from pytest_perfgate.records.accuracy import Accuracy  # noqa: E402 - after what may skip
from pytest_perfgate.records.recipe import Budget, Recipe, Suite  # noqa: E402 - same
from pytest_perfgate.records.recipe_record import RecipeRecord  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.instances import METRICS, Instances  # noqa: E402 - same
from pytest_perfgate.tasks.instances.agreement import truth  # noqa: E402 - same
from pytest_perfgate.tasks.instances.data import InstanceData  # noqa: E402 - same
from pytest_perfgate.tasks.masks.runs import Masks, encoded  # noqa: E402 - same

from suites.instances import data, model  # noqa: E402 - same
from suites.segments.data import MaskComposer  # noqa: E402 - same
from suites.text_instances import data as lines  # noqa: E402 - same
from tests.suites import breaking  # noqa: E402 - same

SCENES = 80

SUITES = {name: breaking.suite(name) for name in ("instances", "text_instances")}
BUDGETS = [
    (name, recipe, budget)
    for name, suite in SUITES.items()
    for recipe in suite.recipes.values()
    for budget in recipe.budgets
]


@dataclass(frozen=True)
class Found:
    """What networks find in some validation scenes.

    Attributes:
        right: the trained one; for text what the outlines say.
        saturated: in codes of 8 bits whose range was calibrated far too small; of text nothing.
        shifted: with masks some pixels to the right, boxes and scores as they are.
    """

    right: Accuracy
    saturated: Accuracy
    shifted: Accuracy


def _stages(suite: Suite) -> tuple[Instances, Any, Any]:
    task = Instances()
    wanted = task.Output.model_validate(dict(suite.output))
    return task, wanted, task.pipeline(task.Input.model_validate(dict(suite.input)), wanted)


def _predictions(network: Any, images: list[Any]) -> list[Any]:
    _, _, stages = _stages(SUITES["instances"])
    predictions: list[Any] = []
    with torch.inference_mode():
        for begin in range(0, len(images), 20):
            inputs, meta = stages.preprocess(images[begin : begin + 20])
            outputs = network(torch.from_numpy(inputs.images))
            predictions += stages.postprocess(tuple(one.numpy() for one in outputs), meta)
    return predictions


def _saturated(network: Any) -> Any:
    """Activations cut off at a tenth of a usual range, in 255 steps."""

    def cut(_module: Any, _inputs: Any, output: Any) -> Any:
        return torch.round(output.clamp(0, 0.6) * 255 / 0.6) * 0.6 / 255

    for layer in network.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(cut)
    return network


def _shifted(prediction: Any, pixels: int) -> Any:
    size = prediction.masks.size
    texts = [
        encoded(np.roll(prediction.masks.pixels(row), pixels, axis=0), 0, 0, size)
        for row in range(len(prediction.masks))
    ]
    return replace(prediction, masks=Masks(size, tuple(texts)))


def _accuracies(
    suite: Suite, some: InstanceData, right: list[Any], saturated: list[Any], pixels: int
) -> Found:
    task, wanted, _ = _stages(suite)
    sides = (right, saturated, [_shifted(one, pixels) for one in right])
    return Found(
        *(
            breaking.accuracy_beside(task, some, side, right).with_ratios(
                task.score_at(some, side, wanted)
            )
            for side in sides
        )
    )


def _digits() -> Found:
    composer = MaskComposer(data.SPLITS["validation"], 77)
    scenes = [composer.masked() for _ in range(SCENES)]
    images = [scene.image for scene in scenes]
    some = InstanceData(images, data.instances(scenes))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other on a shared core
    right = _predictions(model.build(), images)
    saturated = _predictions(_saturated(model.build()), images)
    torch.set_num_threads(threads)
    return _accuracies(SUITES["instances"], some, right, saturated, 6)


def _text() -> Found:
    some = lines.outlined(30, seed=3)
    right = [replace(one, scores=one.scores * np.float32(0.9)) for one in truth(some)]
    nothing = [replace(one, **_NOTHING, masks=one.masks.of([])) for one in right]
    return _accuracies(SUITES["text_instances"], some, right, nothing, 40)


_NOTHING: dict[str, Any] = {
    "boxes": np.zeros((0, 4), np.float32),
    "scores": np.zeros(0, np.float32),
    "categories": np.zeros(0, np.int64),
}


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    """Of each suite."""
    return {"instances": _digits(), "text_instances": _text()}


@pytest.mark.parametrize(
    ("suite", "recipe", "budget"),
    BUDGETS,
    ids=[f"{suite}-{recipe.name}-{budget.metric}" for suite, recipe, budget in BUDGETS],
)
def test_it_can_break(suite: str, recipe: Recipe, budget: Budget, found: dict[str, Found]) -> None:
    """By a network in 8 bits with a bad calibration, or by masks beside their objects, which leave
    boxes and scores as they are; or by values that are far worse.
    """
    ours = found[suite]

    def status(candidate: RecipeRecord) -> Status:
        return breaking.status(budget, recipe, candidate, ours.right, METRICS)

    assert status(breaking.record(recipe, ours.right)) is Status.PASS
    if budget.metric not in METRICS:
        assert status(breaking.far_worse(recipe, ours.right)) is Status.FAIL
        return
    for side in (ours.saturated, ours.shifted):
        assert status(breaking.record(recipe, side)) is Status.FAIL


def test_lines_are_segmented_by_a_network_that_comes_as_it_is() -> None:
    """PP-OCR's map of text, by the suite's declared stages: most of the lines of some pages."""
    runtime = pytest.importorskip("onnxruntime")
    rapidocr = pytest.importorskip("rapidocr", reason="python -m pip install rapidocr")
    task, wanted, stages = _stages(SUITES["text_instances"])
    file = Path(rapidocr.__file__).parent / "models/PP-OCRv6_det_small.onnx"
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    some, predictions = lines.outlined(4, seed=12), []
    for image in some.images:
        batch, meta = stages.preprocess([image])
        outputs = session.run(None, {session.get_inputs()[0].name: batch.images})
        predictions += stages.postprocess(tuple(outputs), meta)
    values = task.evaluate(some, predictions).with_ratios(task.score_at(some, predictions, wanted))
    assert values.values["mask_map50"] > 0.65
    assert values.values["recall"] > 0.7


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB; a table of boxes, scores and coefficients, and prototypes at half the size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    with torch.inference_mode():
        table, prototypes = network(torch.rand(2, 3, 64, 96))
    anchors = 8 * 12 + 4 * 6 + 2 * 3
    assert table.shape == (2, 4 + model.CLASSES + model.PROTOTYPES, anchors)
    assert prototypes.shape == (2, model.PROTOTYPES, 32, 48)


def test_masks_have_the_ink_of_one_digit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its box; splits share no digit and no photograph, and are written once."""
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path))
    some = data.calibration()
    assert some.digest == data.calibration().digest
    assert len(list((tmp_path / "data").iterdir())) == 1
    instances = some.instances
    for index in range(0, len(instances.image), 10):
        masks = some.masks(np.array([index]), int(instances.image[index]))
        left, top, width, height = instances.boxes[index].astype(int)
        pixels = masks.pixels(0)
        assert pixels.sum() == instances.areas[index] > 0
        assert pixels[top : top + height, left : left + width].sum() == pixels.sum()
    one, other = data.SPLITS.values()
    assert not {*one.photographs} & {*other.photographs}
    assert one.share[1] <= other.share[0]
