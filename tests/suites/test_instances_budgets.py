"""Every budget of the suites of instances: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from dataclasses import replace
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
from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.instances import Instances  # noqa: E402 - same
from pytest_perfgate.tasks.instances.agreement import truth  # noqa: E402 - same
from pytest_perfgate.tasks.instances.data import InstanceData  # noqa: E402 - same
from pytest_perfgate.tasks.masks.runs import Masks, encoded  # noqa: E402 - same

from suites.instances import data, model  # noqa: E402 - same
from suites.segments.data import MaskComposer  # noqa: E402 - same
from suites.text_instances import data as lines  # noqa: E402 - same
from tests.suites import breaking, predicting  # noqa: E402 - same

SCENES = 80
SUITES = {name: breaking.suite(name) for name in ("instances", "text_instances")}


def _shifted(prediction: Any, pixels: int) -> Any:
    size = prediction.masks.size
    texts = [
        encoded(np.roll(prediction.masks.pixels(row), pixels, axis=0), 0, 0, size)
        for row in range(len(prediction.masks))
    ]
    return replace(prediction, masks=Masks(size, tuple(texts)))


def _scored(
    suite: str, some: InstanceData, right: list[Any], saturated: list[Any], pixels: int
) -> breaking.Scored:
    """Of the network as it is; for text of what the outlines say. Worse: in codes of 8 bits whose
    range was calibrated far too small, of text nothing (`saturated`); with masks some pixels down,
    boxes and scores as they are (`shifted`).
    """
    task = Instances()
    wanted = task.Output.model_validate(dict(SUITES[suite].output))

    def accuracy(side: list[Any]) -> Accuracy:
        ratios = task.score_at(some, side, wanted)
        return breaking.accuracy_beside(task, some, side, right).with_ratios(ratios)

    shifted = [_shifted(one, pixels) for one in right]
    worse = {"saturated": accuracy(saturated), "shifted": accuracy(shifted)}
    return breaking.Scored(accuracy(right), worse)


def _digits() -> breaking.Scored:
    composer = MaskComposer(data.SPLITS["validation"], 77)
    scenes = [composer.masked() for _ in range(SCENES)]
    images = [scene.image for scene in scenes]
    some = InstanceData(images, data.instances(scenes))
    pipeline = predicting.stages(SUITES["instances"])
    right = predicting.predictions(model.build(), pipeline, images)
    saturated = predicting.predictions(predicting.saturated(model.build()), pipeline, images)
    return _scored("instances", some, right, saturated, 6)


def _text() -> breaking.Scored:
    some = lines.outlined(30, seed=3)
    right = [replace(one, scores=one.scores * np.float32(0.9)) for one in truth(some)]
    nothing = [replace(one, **_NOTHING, masks=one.masks.of([])) for one in right]
    return _scored("text_instances", some, right, nothing, 40)


_NOTHING: dict[str, Any] = {
    "boxes": np.zeros((0, 4), np.float32),
    "scores": np.zeros(0, np.float32),
    "categories": np.zeros(0, np.int64),
}


@pytest.fixture(scope="module")
def scored() -> dict[str, breaking.Scored]:
    """Of each suite."""
    return {"instances": _digits(), "text_instances": _text()}


@pytest.mark.parametrize(("suite", "recipe", "budget"), breaking.budgets(SUITES))
def test_it_can_break(
    suite: str, recipe: Recipe, budget: Budget, scored: dict[str, breaking.Scored]
) -> None:
    """By a network in 8 bits with a bad calibration, or by masks beside their objects, which leave
    boxes and scores as they are; or by values that are far worse.
    """
    ours = scored[suite]
    trial = breaking.Trial(SUITES[suite].task, recipe, budget, ours.right)
    right, broken = trial.verdicts([ours.worse["saturated"], ours.worse["shifted"]])
    assert right is Status.PASS
    assert {*broken} == {Status.FAIL}


def test_lines_are_segmented_by_a_network_that_comes_as_it_is() -> None:
    """PP-OCR's map of text, by the suite's declared stages: most of the lines of some pages."""
    some, suite, task = lines.outlined(4, seed=12), SUITES["text_instances"], Instances()
    predictions = predicting.by_ppocr(predicting.stages(suite), some.images)
    wanted = task.Output.model_validate(dict(suite.output))
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
