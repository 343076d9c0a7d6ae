"""Metrics of corrupted images: their names, and whether two records corrupted images alike."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_perfgate.corruptions import NAMES
from pytest_perfgate.metric import AT
from pytest_perfgate.records.accuracy import Accuracy

ROBUSTNESS = "robustness"


def score_under(main: str, corruption: str) -> str:
    """The metric of a task's main score under a corruption: `map@fog`."""
    return f"{main}{AT}{corruption}"


def is_corrupted(name: str) -> bool:
    """Whether a score without a scope, by its name, is of corrupted images."""
    return name == ROBUSTNESS or AT in name


def corruption_of(metric: str) -> str:
    """The corruption whose score a metric is, "" for every other metric."""
    _, at, name = metric.partition(AT)
    return name if at and name in NAMES else ""


def images_of(accuracy: Accuracy, metric: str) -> int:
    """How many images a score is over: of corrupted ones there may be fewer."""
    corrupted = metric == ROBUSTNESS or corruption_of(metric)
    return accuracy.corrupted_images if corrupted else accuracy.images


def unlike_corruptions(metric: str, ours: Accuracy, theirs: Accuracy) -> str:
    """Why scores of images that were corrupted in two ways are not compared; "" when they are, and
    for a metric of clean images.
    """
    if metric != ROBUSTNESS and not corruption_of(metric):
        return ""
    if ours.corrupted_by != theirs.corrupted_by:
        return f"it is of images with {theirs.corrupted_by}, and these have {ours.corrupted_by}"
    there, here = (_listed(accuracy.values) for accuracy in (theirs, ours))
    if metric == ROBUSTNESS and there != here:
        return f"it is over {there}, and this over {here}"
    return ""


def _listed(metrics: Iterable[str]) -> str:
    return ", ".join(sorted(filter(None, map(corruption_of, metrics))))
