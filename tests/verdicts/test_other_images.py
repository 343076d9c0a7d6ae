"""Scores of other images, and of sets that one side has not."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.accuracy import Packed, Slicing
from pytest_perfgate.records.recipe import LimitKind
from pytest_perfgate.verdicts.evidence import Base, Evidence
from pytest_perfgate.verdicts.scope_bounds import absent_sets

from tests.verdicts.judging import recipe, stored
from tests.verdicts.test_scope_budgets import (
    ACCURACY,
    ALL,
    CAMERA,
    GOOD,
    NIGHT,
    WORST,
    called,
    verdict,
)


@pytest.mark.parametrize("metric", [ACCURACY, NIGHT, ALL, WORST])
def test_a_base_of_other_images_is_no_baseline(metric: Metric) -> None:
    """Scores of other images are not compared, and the reason names the images."""
    fewer = called(300, 320).with_set("night", called(200, 220)).with_set("day", called(190, 200))
    result = verdict(metric, LimitKind.REGRESSION, 0.1, fewer, base=GOOD)
    what, counts = "validation data", "400 images there, 320 images here"
    if metric is NIGHT:
        what, counts = (
            "data of the set 'night'",
            "300 images there, 220 images here",
        )
    assert result.status == "NO BASELINE"
    assert result.reason == f"the base has other {what} ({counts})"


def test_scores_at_two_operating_points_are_not_compared() -> None:
    """A lower score of the point finds more, which hides a loss. Files of before do not say."""
    higher = GOOD.model_copy(update={"points": {"accuracy": "score = 0.5"}})
    lower = GOOD.model_copy(update={"points": {"accuracy": "score = 0.3"}})
    result = verdict(ACCURACY, LimitKind.REGRESSION, 0.1, lower, base=higher)
    assert result.status == "NO BASELINE"
    assert "another operating_point (score = 0.5 there, score = 0.3 here)" in result.reason
    assert verdict(ACCURACY, LimitKind.REGRESSION, 0.1, lower, base=GOOD).status == "PASS"


@pytest.mark.parametrize("metric", [ALL, WORST])
def test_a_set_that_one_side_has_not(metric: Metric) -> None:
    """A new set has nothing to be compared with. The score of one that was taken out is nobody's
    worst.
    """
    night = called(380, 400).with_set("night", called(280, 300))
    new = verdict(metric, LimitKind.REGRESSION, 0.1, GOOD, base=night)
    assert (new.status, new.reason) == ("NO BASELINE", "the base has no set 'day'")

    dark = called(380, 400).with_set("night", called(100, 300))
    bright = verdict(metric, LimitKind.REGRESSION, 0.05, called(300, 400), base=dark)
    assert bright.status == "FAIL"
    assert bright.limits[0].estimate == pytest.approx(-0.2)


def test_slices_of_other_images_are_no_baseline() -> None:
    """The images that are sliced are named, not a slice that the base would lack."""
    ours, theirs = (
        called(right, images).model_copy(
            update={
                "slices": {
                    "camera": Slicing(
                        by="camera",
                        names=("camera=1",),
                        members=Packed.of(np.ones((1, images), dtype=bool)),
                        least=10,
                    )
                }
            }
        )
        for right, images in ((300, 320), (380, 400))
    )
    result = verdict(CAMERA, LimitKind.REGRESSION, 0.1, ours, base=theirs)
    assert result.status == "NO BASELINE"
    assert result.reason == "the base has other validation data (400 images there, 320 images here)"


def test_a_set_that_was_taken_out_is_a_note() -> None:
    """Once for all recipes, of the base where there is one, else of the baselines."""
    ours, theirs = (
        recipe("candidate", 0.01).model_copy(update={"accuracy": accuracy})
        for accuracy in (called(380, 400).with_set("day", called(190, 200)), GOOD)
    )
    beside = Evidence(record=ours, base=Base("main", theirs))
    assert absent_sets([beside, beside]) == ("the base has a set 'night' that is not here",)
    baseline = stored(0.01).model_copy(update={"accuracy": GOOD})
    assert absent_sets([Evidence(record=ours, baseline=baseline)]) == (
        "the baseline has a set 'night' that is not here",
    )
    assert absent_sets([Evidence(record=theirs, baseline=baseline), Evidence(record=ours)]) == ()
