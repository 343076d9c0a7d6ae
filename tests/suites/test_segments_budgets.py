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

from pytest_perfgate.baselines.store import Baseline, StoredMetric  # noqa: E402 - after what may skip
from pytest_perfgate.metric import PERFORMANCE  # noqa: E402 - same
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio  # noqa: E402 - same
from pytest_perfgate.records.recipe import Budget, Recipe, Suite  # noqa: E402 - same
from pytest_perfgate.records.recipe_record import ArtifactInfo, RecipeRecord  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.suite.reading import read  # noqa: E402 - same
from pytest_perfgate.tasks.segmentation import METRICS, Segmentation  # noqa: E402 - same
from pytest_perfgate.tasks.segmentation.data import SegmentationData, Segments  # noqa: E402 - same
from pytest_perfgate.verdicts.evidence import Evidence  # noqa: E402 - same
from pytest_perfgate.verdicts.judge import judge  # noqa: E402 - same

from suites.segments import data, model  # noqa: E402 - same
from suites.text_kernels import data as kernels  # noqa: E402 - same
from tests.verdicts.judging import NOW, RISK, SPREAD, launches, stored  # noqa: E402 - same

ROOT = Path(__file__).resolve().parents[2]
SCENES = 80


def _suite(name: str) -> Suite:
    suite = read(ROOT / f"suites/{name}/recipes.toml", ROOT).suite
    assert suite is not None
    return suite


BUDGETS = [
    (name, recipe, budget)
    for name in ("segments", "text_kernels")
    for recipe in _suite(name).recipes.values()
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
    accuracies = []
    for predictions in (right, saturated, shifted, reordered):
        accuracy = task.evaluate(some, predictions)
        sums = task.compare(task.pack(predictions), task.pack(right))
        ratios = {
            name: Ratio(numerator=Packed.of(top), denominator=Packed.of(bottom))
            for name, (top, bottom) in sums.items()
        }
        values = {name: float(top.sum() / bottom.sum()) for name, (top, bottom) in sums.items()}
        accuracies.append(
            accuracy.model_copy(
                update={"values": accuracy.values | values, "ratios": accuracy.ratios | ratios}
            )
        )
    return Segmented(*accuracies)


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


def record(
    recipe: Recipe, accuracy: Accuracy, seconds: float, size: int, memory: int
) -> RecipeRecord:
    """A measured recipe."""
    return RecipeRecord(
        name=recipe.name,
        reference=recipe.reference,
        parent="",
        artifact=ArtifactInfo(kind="onnx", digest="", size=size, files={}),
        launches=launches(seconds, memory=memory),
        accuracy=accuracy,
    )


def baseline(accuracy: Accuracy) -> Baseline:
    """A stored baseline of the network as it is."""
    metrics = dict(stored(0.010).metrics)
    for name, value in (("miou", accuracy.values["miou"]), ("artifact_size", 400_000.0)):
        unit = (METRICS.get(name) or PERFORMANCE[name]).unit
        metrics[name] = StoredMetric(unit=unit, value=value)
    metrics["peak_memory"] = StoredMetric(
        unit=PERFORMANCE["peak_memory"].unit,
        value=100e6,
        launches=tuple(100e6 * factor for factor in SPREAD),
    )
    return stored(0.010).model_copy(update={"metrics": metrics, "accuracy": accuracy})


def status(budget: Budget, recipe: Recipe, segmented: Segmented, candidate: RecipeRecord) -> Status:
    """The verdict on a candidate beside a reference of 20 ms and 1 MB."""
    evidence = Evidence(
        record=candidate,
        reference=record(recipe, segmented.right, 0.020, 1_000_000, 100),
        baseline=baseline(segmented.right),
        yardstick=launches(0.003),
    )
    metric = METRICS.get(budget.metric) or PERFORMANCE[budget.metric]
    return judge(budget, metric, evidence, RISK, NOW).status


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
    good = record(recipe, ours.right, 0.010, 400_000, 100)
    assert status(budget, recipe, ours, good) is Status.PASS
    if budget.metric not in METRICS:
        bad = record(recipe, ours.right, 5.0, 3_000_000, 900)
        assert status(budget, recipe, ours, bad) is Status.FAIL
        return
    for accuracy in ours.worse(budget.metric, recipe.is_reference):
        bad = record(recipe, accuracy, 0.010, 400_000, 100)
        assert status(budget, recipe, ours, bad) is Status.FAIL


def test_text_is_segmented_by_a_network_that_comes_as_it_is() -> None:
    """PP-OCR's map of text, by the suite's declared stages: most of the kernels of some pages."""
    runtime = pytest.importorskip("onnxruntime")
    rapidocr = pytest.importorskip("rapidocr", reason="python -m pip install rapidocr")
    suite, task = _suite("text_kernels"), Segmentation()
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
