"""Whether scores say how often predictions are right: metrics, and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.calibration import ECE, counted

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy

CONFIDENCE = ("confidence", "confidence_gap")
"""Metrics of predictions from a score on."""


def calibration_error(noun: str, right: str, group: str) -> Metric:
    """Expected calibration error of scores of `noun`s; `right` says which of them are right, and
    `group` what each class's limit is on.
    """
    return Metric.score(
        ECE,
        f"Expected calibration error of scores, in 15 bins of equal width: the mean over {noun}s "
        "of the distance between the mean score in a bin and the share that is right there. "
        f"{right} `per_class` is about {group}.",
        Better.LOWER,
        optional=True,
        by_class=True,
    )


def confidence_at_point(noun: str, unmeasured: str) -> tuple[Metric, Metric]:
    """Scores of `noun`s from the score of `operating_point` on; `unmeasured` says when there are
    none.
    """
    return (
        Metric.score(
            "confidence",
            f"Mean score of {noun}s of at least the score of `operating_point`. {unmeasured}",
            optional=True,
            by_image=True,
        ),
        Metric.score(
            "confidence_gap",
            f"Distance between the mean score of {noun}s of at least the score of "
            f"`operating_point` and the share of them that is right. {unmeasured}",
            Better.LOWER,
            optional=True,
        ),
    )


def with_calibration(accuracy: Accuracy, noun: str) -> Accuracy:
    """The same with `ece`, from matches at an IoU of 0.5; without `noun`s it is not measured."""
    from pytest_perfgate.stats.reliability import reliability

    if accuracy.matches is None:
        return accuracy
    _, scores, right = counted(accuracy.matches)
    result = reliability(scores, right)
    if result is None:
        unmeasured = {**accuracy.unmeasured, ECE: f"there are no {noun}s"}
        return accuracy.model_copy(update={"unmeasured": unmeasured})
    return accuracy.model_copy(update={"values": {**accuracy.values, ECE: result.error}})


def confidence_sums(scores: Any, right: Any, counts: Any) -> dict[str, tuple[Any, Any]]:
    """Numerator and denominator per image (images,) of `CONFIDENCE`: sums of scores and numbers of
    right predictions, of `counts` predictions in each image.
    """
    import numpy as np

    # Single precision packs to half the size, and is that of the scores.
    gaps = (scores - right) * (1.0 if float((scores - right).sum()) >= 0 else -1.0)
    parts = {"confidence": scores, "confidence_gap": gaps}
    return {
        name: (part.astype(np.float32).astype(np.float64), counts) for name, part in parts.items()
    }
