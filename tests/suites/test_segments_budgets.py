"""Every budget of the segmenters' suites: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - after what may skip
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.segmentation import Segmentation  # noqa: E402 - same
from pytest_perfgate.tasks.segmentation.data import SegmentationData, Segments  # noqa: E402 - same

from suites.segments import data, model  # noqa: E402 - same
from suites.text_kernels import data as kernels  # noqa: E402 - same
from tests.suites import breaking, predicting  # noqa: E402 - same

SCENES = 80
SUITES = {name: breaking.suite(name) for name in ("segments", "text_kernels")}


def _scored(
    some: SegmentationData, right: list[Any], saturated: list[Any], shift: int
) -> breaking.Scored:
    """Of the network as it is; for text of what the masks say. Worse: in codes of 8 bits whose
    range was calibrated far too small (`saturated`), some pixels down (`shifted`), with the class
    after the right one (`reordered`).
    """
    classes = len(some.classes)
    shifted = [Segments(np.roll(one.labels, shift, axis=0), one.scores, classes) for one in right]
    reordered = [
        Segments((one.labels + 1) % classes, np.roll(one.scores, 1, axis=1), classes)
        for one in right
    ]
    return breaking.scored(
        Segmentation(), some, right, saturated=saturated, shifted=shifted, reordered=reordered
    )


def _breaking(metric: str, is_reference: bool) -> tuple[str, ...]:
    """What breaks a budget on a metric. Nineteen pixels of twenty are background: a network that
    finds nothing else keeps its share of pixels.
    """
    if metric not in {"miou", "boundary_f"}:
        return ("reordered",)
    return ("saturated",) if is_reference else ("saturated", "shifted")


def _digits() -> breaking.Scored:
    composer = data.MaskComposer(data.SPLITS["validation"], 77)
    scenes = [composer.masked() for _ in range(SCENES)]
    images = [scene.image for scene in scenes]
    masks = [scene.mask for scene in scenes]
    some = SegmentationData(images, masks, data.CLASSES, ignore_index=data.IGNORED)
    pipeline = predicting.stages(SUITES["segments"])
    right = predicting.predictions(model.build(), pipeline, images)
    saturated = predicting.predictions(predicting.saturated(model.build()), pipeline, images)
    return _scored(some, right, saturated, 4)


def _text() -> breaking.Scored:
    some = kernels.masked(60, seed=3)
    scores = np.tile(np.array([0.9, 0.1], np.float32), (144, 1))
    right = [Segments(mask, scores, 2) for mask in some.masks]
    saturated = [Segments(np.zeros_like(mask), scores, 2) for mask in some.masks]
    return _scored(some, right, saturated, 12)


@pytest.fixture(scope="module")
def segmented() -> dict[str, breaking.Scored]:
    """Of each suite."""
    return {"segments": _digits(), "text_kernels": _text()}


@pytest.mark.parametrize(("suite", "recipe", "budget"), breaking.budgets(SUITES))
def test_it_can_break(
    suite: str, recipe: Recipe, budget: Budget, segmented: dict[str, breaking.Scored]
) -> None:
    """By a network in 8 bits with a bad calibration, shifted masks or classes in another order; or
    by values that are far worse.
    """
    ours = segmented[suite]
    worse = [ours.worse[name] for name in _breaking(budget.metric, recipe.is_reference)]
    trial = breaking.Trial(SUITES[suite].task, recipe, budget, ours.right)
    right, broken = trial.verdicts(worse)
    assert right is Status.PASS
    assert {*broken} == {Status.FAIL}


def test_text_is_segmented_by_a_network_that_comes_as_it_is() -> None:
    """PP-OCR's map of text, by the suite's declared stages: most of the kernels of some pages."""
    some = kernels.masked(4, seed=12)
    pipeline = predicting.stages(SUITES["text_kernels"])
    values = Segmentation().evaluate(some, predicting.by_ppocr(pipeline, some.images)).values
    assert values["miou"] > 0.8
    assert values["boundary_f"] > 0.9


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and logits at a quarter of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 64, 96)).shape == (2, model.CLASSES, 16, 24)
