"""Splits of the suites that compose scenes of digits: they share nothing."""

from __future__ import annotations

from itertools import combinations

import pytest

from suites.clips import data as clips
from suites.digits import data as digits
from suites.digits.data import Split
from suites.instances import data as instances
from suites.labels import data as labels
from suites.oriented import data as oriented
from suites.panoptic import data as panoptic
from suites.pose import data as pose
from suites.segments import data as segments
from suites.tracking import data as tracking

pytest.importorskip("sklearn")

TRAINING = digits.SPLITS["train"]
SUITES = {
    "clips": (clips.TRAINING, clips.SPLITS),
    "instances": (TRAINING, instances.SPLITS),
    "labels": (labels.TRAINING, labels.SPLITS),
    "oriented": (oriented.TRAINING, oriented.SPLITS),
    "panoptic": (panoptic.TRAINING, panoptic.SPLITS),
    "pose": (pose.TRAINING, pose.SPLITS),
    "segments": (segments.TRAINING, segments.SPLITS),
    "tracking": (TRAINING, tracking.SPLITS),
}


@pytest.mark.parametrize("suite", SUITES)
def test_they_share_no_digit_and_no_photograph(suite: str) -> None:
    """Nor with the scenes that the weights are trained on."""
    training, others = SUITES[suite]
    splits: tuple[Split, ...] = (training, *others.values())
    for one, other in combinations(splits, 2):
        assert not {*one.photographs} & {*other.photographs}
        for label in range(10):
            shares = [set(digits.digit_indices(label, side.share)) for side in (one, other)]
            assert not shares[0] & shares[1]
