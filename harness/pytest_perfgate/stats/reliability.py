"""Reliability of scores: whether detections with a score of 0.8 are right in 80 of 100 cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Detections of similar scores: their mean score, the share that is right, how many."""

    score: float
    right: float
    count: int


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram's points, bins without detections left out, and its error."""

    bins: tuple[Bin, ...]
    error: float


def reliability(
    scores: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]
) -> Reliability | None:
    """The reliability of `scores` (N,), 0 to 1, given which detections are `right` (N,); None for
    no detections.

    Bins are of equal width. The error is the expected calibration error, the mean over detections
    of the distance between a bin's share of right ones and its mean score (Naeini, Cooper and
    Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et al.
    2017, "On Calibration of Modern Neural Networks", equation 3). For detections "right" is being
    matched to an object (Küppers et al. 2020, "Multivariate Confidence Calibration for Object
    Detection").
    """
    if not len(scores):
        return None
    place = np.clip((scores * BINS).astype(np.int64), 0, BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = place == number
        count = int(inside.sum())
        if count:
            score, share = float(scores[inside].mean()), float(right[inside].mean())
            bins.append(Bin(score, share, count))
            error += count / len(scores) * abs(share - score)
    return Reliability(tuple(bins), error)
