"""Every budget of the panoptic suites: kept by the network as it is, broken by a worse one."""

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

from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - after what may skip
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.panoptic import PanopticSegmentation  # noqa: E402 - same
from pytest_perfgate.tasks.panoptic.data import PanopticData, panoptic  # noqa: E402 - same

from suites.panoptic import data, model  # noqa: E402 - same
from suites.text_panoptic import data as lines  # noqa: E402 - same
from tests.suites import breaking, predicting  # noqa: E402 - same

SCENES = 80
SUITES = {name: breaking.suite(name) for name in ("panoptic", "text_panoptic")}


def _scored(some: PanopticData, right: list[Any], **worse: list[Any]) -> breaking.Scored:
    """Worse: segments some pixels down (`shifted`), of the class after the right one (`reordered`),
    and those that are given.
    """
    shifted = [
        panoptic(np.roll(one.map(), 40, axis=0), one.categories, one.scores) for one in right
    ]
    classes = len(some.classes)
    reordered = [replace(one, categories=(one.categories + 1) % classes) for one in right]
    return breaking.scored(
        PanopticSegmentation(), some, right, shifted=shifted, reordered=reordered, **worse
    )


def _digits() -> breaking.Scored:
    """By the suite's own stages. Worse, too: of half the score (`unsure`)."""
    composer = data.SheetComposer(data.SPLITS["validation"], 77)
    some = data.as_data([composer.panoptic() for _ in range(SCENES)])
    pipeline = predicting.stages(SUITES["panoptic"])
    right = predicting.predictions(model.build(), pipeline, some.images)
    unsure = [replace(one, scores=one.scores * np.float32(0.5)) for one in right]
    return _scored(some, right, unsure=unsure)


def _text() -> breaking.Scored:
    """Of what the pages' maps say. Worse, too: lines that are a little low (`loose`)."""
    some = lines.divided(30, seed=3)
    right = [
        panoptic(some.numbers(index), [one.category for one in segments])
        for index, segments in enumerate(some.segments)
    ]
    loose = [panoptic(np.roll(one.map(), 3, axis=0), one.categories) for one in right]
    return _scored(some, right, loose=loose)


@pytest.fixture(scope="module")
def scored() -> dict[str, breaking.Scored]:
    """Of each suite."""
    return {"panoptic": _digits(), "text_panoptic": _text()}


@pytest.mark.parametrize(("suite", "recipe", "budget"), breaking.budgets(SUITES))
def test_it_can_break(
    suite: str, recipe: Recipe, budget: Budget, scored: dict[str, breaking.Scored]
) -> None:
    """By segments that moved or have another class, scores that fell, or values that are far worse.
    A mean overlap of matches stays where classes change, for it is of what matches.
    """
    ours = scored[suite]
    trial = breaking.Trial(SUITES[suite].task, recipe, budget, ours.right)
    wrong = {
        "score_shift": ["unsure"],
        "pq_stuff": ["reordered"],
        "sq": ["shifted"],
        "sq_things": ["loose"],
    }
    names = wrong.get(budget.metric, ["shifted", "reordered"])
    right, broken = trial.verdicts([ours.worse[name] for name in names])
    assert right is Status.PASS
    assert {*broken} == {Status.FAIL}


def test_lines_and_page_are_segments_of_a_network_that_comes_as_it_is() -> None:
    """PP-OCR's map of text, by the suite's declared stages: as many lines as are on some pages."""
    some, suite = lines.divided(4, seed=12), SUITES["text_panoptic"]
    predictions = predicting.by_ppocr(predicting.stages(suite), some.images)
    values = PanopticSegmentation().evaluate(some, predictions).values
    assert values["pq_things"] > 0.5
    assert values["pq_stuff"] > 0.9
    for prediction, segments in zip(predictions, some.segments, strict=True):
        assert abs(len(prediction.categories) - len(segments)) <= 1


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB; classes and masks of queries, at half of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    with torch.inference_mode():
        logits, masks = network(torch.rand(2, 3, 64, 96))
    queries = model.PEAKS + model.STUFF
    assert logits.shape == (2, queries, len(data.CLASSES) + 1)
    assert masks.shape == (2, queries, 32, 48)


def test_scenes_repeat_themselves_and_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every class is there; digits are things, and the soft edges of their strokes are of none."""
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path))
    some = data.calibration()
    assert some.digest == data.calibration().digest
    assert len(list((tmp_path / "data").iterdir())) == 1
    kinds = {segment.category for image in some.segments for segment in image}
    assert kinds == set(range(len(data.CLASSES)))
    assert some.things == data.THINGS
    for index in range(0, len(some.images), 16):
        numbers = some.numbers(index)
        assert 0.0 < (numbers == 0).mean() < 0.2
