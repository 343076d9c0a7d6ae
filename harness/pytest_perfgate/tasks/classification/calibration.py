"""Whether a class's score says how often the class is right, of images or of clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed
from pytest_perfgate.records.calibration import ECE, OVERLAP
from pytest_perfgate.tasks.calibration import (
    CONFIDENCE,
    calibration_error,
    confidence_at_point,
    confidence_sums,
    with_calibration,
)

if TYPE_CHECKING:
    import numpy.typing as npt

AT_A_POINT = ("coverage", *CONFIDENCE)
CALIBRATION = (ECE, *AT_A_POINT)
NO_POINT = "no operating point is declared; set operating_point = { score = 0.5 } in [suite.output]"
_NO_SHARES = "scores are not all from 0 to 1; set activation in [suite.output]"


class OperatingPoint(OptionsModel):
    """What an application takes for an answer."""

    score: float = Field(ge=0, le=1, description="lowest score of a top class")


def calibration_metrics(noun: str) -> tuple[Metric, ...]:
    """The metrics of scores, of images or of clips."""
    undeclared = "Not measured without `operating_point` in `[suite.output]`"
    return (
        calibration_error(
            noun,
            f"The score of {noun}s is that of their top class; the top class is right, or it is "
            "not. Not measured where a score is not from 0 to 1.",
            f"{noun}s by their top class",
        ),
        Metric.score(
            "coverage",
            f"Share of {noun}s whose top class has at least the score of `operating_point`. "
            f"{undeclared}.",
            optional=True,
        ),
        *confidence_at_point(
            noun,
            f"The score of {noun}s is that of their top class. {undeclared}, nor where no {noun} "
            "has such a score.",
        ),
    )


def with_matches(
    accuracy: Accuracy, scores: npt.NDArray[Any], truth: npt.NDArray[Any], classes: Sequence[str]
) -> Accuracy:
    """The same with `ece`, and what it is made from, of scores (M, C) and true classes (M,)."""
    import numpy as np

    called = scores.argmax(axis=1)
    confidence = scores[np.arange(len(scores)), called]
    if scores.min() < 0 or scores.max() > 1 + _ROUNDING:
        return accuracy.model_copy(update={"unmeasured": {**accuracy.unmeasured, ECE: _NO_SHARES}})
    objects = np.zeros((len(truth), len(classes)), dtype=np.int32)
    objects[np.arange(len(truth)), truth] = 1
    matches = Matches(
        thresholds=(OVERLAP,),
        categories=tuple(str(name) for name in classes),
        image=Packed.of(np.arange(len(truth), dtype=np.int32)),
        category=Packed.of(called.astype(np.int16)),
        score=Packed.of(confidence.astype(np.float32)),
        hits=Packed.of((called == truth).astype(np.uint16)),
        ignored=Packed.of(np.zeros(len(truth), dtype=np.uint16)),
        truth=Packed.of(objects),
    )
    return with_calibration(accuracy.model_copy(update={"matches": matches}), "image")


_ROUNDING = 1e-6  # of a softmax in single precision


def ratios_at(
    scores: npt.NDArray[Any], labels: Sequence[int], least: float
) -> dict[str, tuple[Any, Any]]:
    """Numerator and denominator per image (M,) of coverage, confidence and its gap, of scores (M,
    C): top classes with a score of at least `least` count. Coverage is that of selective
    classification (Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks").
    """
    import numpy as np

    called = scores.argmax(axis=1)
    top = scores[np.arange(len(scores)), called].astype(np.float64)
    kept = (top >= np.float32(least)).astype(np.float64)
    right = kept * (called == np.array([int(label) for label in labels]))
    confidence = confidence_sums(top * kept, right, kept) if kept.any() else {}
    return {"coverage": (kept, np.ones(len(scores))), **confidence}
