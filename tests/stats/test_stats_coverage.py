"""Whether intervals of average precision hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_perfgate.stats.average_precision import Table, mean_average_precision
from pytest_perfgate.stats.image_bootstrap import Resampled, bootstrap, paired_bootstrap


def detectors(random: np.random.Generator, images: int) -> tuple[Table, Table]:
    """Two simulated detectors on one random set of images: some images are hard for both."""
    hard = random.normal(0, 1, images)
    truth = random.poisson(1.2, (images, 3))
    rows, columns = (indices.ravel() for indices in np.indices(truth.shape))
    image, category = np.repeat(rows, truth.ravel()), np.repeat(columns, truth.ravel())
    shared = random.normal(0, 1, len(image))
    built = []
    for skill in (1.0, 0.5):
        ease = skill + 0.7 * hard[image] + 0.9 * shared + 0.5 * random.normal(size=len(image))
        result = ease > 0
        hits = (1 << np.clip(np.floor(4 * ease + 1), 0, 10).astype(int)) - 1
        false = random.poisson(0.5 * np.exp(-0.5 * hard)[:, None] * np.ones((1, 3))).ravel()
        extra = int(false.sum())
        score = np.concatenate(
            [(ease + 0.5 * random.normal(size=len(ease)))[result], random.normal(-1, 1, extra)]
        )
        built.append(
            Table(
                np.concatenate([image[result], np.repeat(rows, false)]),
                np.concatenate([category[result], np.repeat(columns, false)]),
                score,
                np.concatenate([hits[result], np.zeros(extra, dtype=int)]),
                truth,
                10,
            )
        )
    return built[0], built[1]


@pytest.mark.slow
@pytest.mark.parametrize("images", [40, 100])
def test_intervals_of_95_percent_hold_the_truth_in_95_percent(images: int) -> None:
    """Over 400 simulated evaluations, single and paired intervals cover in 92 to 98 %."""
    one, other = detectors(np.random.default_rng(99), 60_000)
    level = mean_average_precision(one)
    difference = level - mean_average_precision(other)
    random = np.random.default_rng(5)
    covered = np.zeros(2)
    cases, draws = 400, 100
    for case in range(cases):
        one, other = detectors(random, images)
        ours, theirs = Resampled(one, case), Resampled(other, case)  # each is scored once
        low, high = bootstrap(ours, draws=draws).bounds(0.05)
        covered[0] += low <= level <= high
        low, high = paired_bootstrap(ours, theirs, draws=draws).bounds(0.05)
        covered[1] += low <= difference <= high
    assert (covered / cases >= 0.92).all(), covered / cases
    assert (covered / cases <= 0.98).all(), covered / cases
