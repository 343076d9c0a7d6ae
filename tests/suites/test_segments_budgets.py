"""Every budget of the segmenter's suite: kept by the network as it is, broken by a worse one."""

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
from pytest_perfgate.tasks.segmentation_data import SegmentationData, Segments  # noqa: E402 - same
from pytest_perfgate.verdicts.evidence import Evidence  # noqa: E402 - same
from pytest_perfgate.verdicts.judge import judge  # noqa: E402 - same

from suites.segments import data, model  # noqa: E402 - same
from tests.verdicts.judging import NOW, RISK, SPREAD, launches, stored  # noqa: E402 - same

ROOT = Path(__file__).resolve().parents[2]
SCENES = 120


def _suite() -> Suite:
    suite = read(ROOT / "suites/segments/recipes.toml", ROOT).suite
    assert suite is not None
    return suite


BUDGETS = [(recipe, budget) for recipe in _suite().recipes.values() for budget in recipe.budgets]


@dataclass(frozen=True)
class Segmented:
    """What networks predict of some validation scenes.

    Attributes:
        right: the trained one.
        saturated: in codes of 8 bits whose range was calibrated far too small.
        shifted: four pixels to the right.
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


@pytest.fixture(scope="module")
def segmented() -> Segmented:
    """Accuracies over some scenes, each beside the first."""
    composer = data.MaskComposer(data.SPLITS["validation"], 77)
    scenes = [composer.masked() for _ in range(SCENES)]
    images = [scene.image for scene in scenes]
    masks = [scene.mask for scene in scenes]
    some = SegmentationData(images, masks, data.CLASSES, ignore_index=data.IGNORED)
    task = Segmentation()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other on a shared core
    right = _predictions(model.build(), images)
    saturated = _predictions(_saturated(model.build()), images)
    torch.set_num_threads(threads)
    classes = len(data.CLASSES)
    shifted = [Segments(np.roll(one.labels, 4, axis=1), one.scores, classes) for one in right]
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
    ("recipe", "budget"), BUDGETS, ids=[f"{recipe.name}-{one.metric}" for recipe, one in BUDGETS]
)
def test_it_can_break(recipe: Recipe, budget: Budget, segmented: Segmented) -> None:
    """By a network in 8 bits with a bad calibration, shifted masks or classes in another order; or
    by values that are far worse.
    """
    good = record(recipe, segmented.right, 0.010, 400_000, 100)
    assert status(budget, recipe, segmented, good) is Status.PASS
    if budget.metric not in METRICS:
        bad = record(recipe, segmented.right, 1.0, 3_000_000, 900)
        assert status(budget, recipe, segmented, bad) is Status.FAIL
        return
    for accuracy in segmented.worse(budget.metric, recipe.is_reference):
        bad = record(recipe, accuracy, 0.010, 400_000, 100)
        assert status(budget, recipe, segmented, bad) is Status.FAIL


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and logits at a quarter of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 64, 96)).shape == (2, model.CLASSES, 16, 24)
