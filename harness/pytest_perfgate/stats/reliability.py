"""Reliability of scores: whether detections with a score of 0.8 are right in 80 of 100 cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 15
"""Bins of equal width, as Guo et al. have them."""

_FOLDED = math.sqrt(2 / math.pi)
"""Mean distance from zero of a normal variable with mean 0 and standard deviation 1."""

Floats = npt.NDArray[np.floating]


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


def reliability(scores: Floats, right: npt.NDArray[np.bool_]) -> Reliability | None:
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
    place = _bin_of(scores)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = place == number
        count = int(inside.sum())
        if count:
            score, share = float(scores[inside].mean()), float(right[inside].mean())
            bins.append(Bin(score, share, count))
            error += count / len(scores) * abs(share - score)
    return Reliability(tuple(bins), error)


def calibration_shares(
    image: npt.NDArray[np.integer], scores: Floats, right: npt.NDArray[np.bool_], images: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Numerator and denominator per image (images,) whose ratio of sums is the expected calibration
    error of `scores` (N,), given which are `right` (N,) and the `image` (N,) that each is of.

    The error is the sum over bins of |sum of (score - right)| / N. Each image's share of a bin's
    sum has the sign of the whole sum: the error is linear in the shares, and they are the influence
    of the images on it (the infinitesimal jackknife: Jaeckel 1972).
    """
    sums = _sums(image, scores, right, images)
    counts = np.bincount(image, minlength=images).astype(np.float64)
    return sums @ np.sign(sums.sum(axis=0)), counts


def calibration_bias(
    image: npt.NDArray[np.integer], scores: Floats, right: npt.NDArray[np.bool_], images: int
) -> float:
    """The most that an expected calibration error lies above the true one on average, because each
    bin's sum is off by chance and its distance from zero counts; arguments as of
    `calibration_shares`.

    A bin's sum is nearly normal with some mean m and standard error s. Its mean distance from zero
    is |m| + s * sqrt(2 / pi) for m = 0, and nearer to |m| otherwise (the folded normal
    distribution: Leone, Nelson and Nottingham 1961).
    """
    if not len(scores):
        return 0.0
    sums = _sums(image, scores, right, images)
    errors = np.sqrt(((sums - sums.mean(axis=0)) ** 2).sum(axis=0))
    return _FOLDED * float(errors.sum()) / len(scores)


def _sums(
    image: npt.NDArray[np.integer], scores: Floats, right: npt.NDArray[np.bool_], images: int
) -> npt.NDArray[np.float64]:
    """The sum of (score - right) of each image in each bin, (images, BINS)."""
    gaps = scores.astype(np.float64) - right
    cells = image.astype(np.int64) * BINS + _bin_of(scores)
    sums = np.zeros(images * BINS)
    np.add.at(sums, cells, gaps)
    return sums.reshape(images, BINS)


def _bin_of(scores: Floats) -> npt.NDArray[np.int64]:
    """The bin of each score (N,): [0, 1/15), [1/15, 2/15), …, [14/15, 1]."""
    return np.clip((scores.astype(np.float64) * BINS).astype(np.int64), 0, BINS - 1)
