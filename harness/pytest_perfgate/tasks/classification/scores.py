"""What images were called, held to what they are: scores, and their uncertainty from the images.

Macro averages are no ratios of sums over images. Each is linearised about its value: an image's
share of it is the value plus the image's influence (the infinitesimal jackknife, Jaeckel 1972;
Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", chapter 6). The mean of these
shares is the value itself, and their spread over images is its uncertainty.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.tasks.classification.calibration import (
    AT_A_POINT,
    CALIBRATION,
    NO_POINT,
    with_matches,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_perfgate.tasks.classification.data import Called, ClassificationData

Floats = npt.NDArray[np.float64]

_FEW = 5


def evaluate(data: ClassificationData, predictions: Sequence[Called]) -> Accuracy:
    """scikit-learn's scores of the best class of each image.

    Raises:
        DataError: a prediction is missing, is not over the data's classes, or is no number.
    """
    if len(predictions) != len(data.images):
        raise DataError(f"there are {len(predictions)} predictions for {len(data.images)} images")
    scores = np.stack(
        [np.asarray(prediction.scores, dtype=np.float64) for prediction in predictions]
    )
    return score_classes(scores, data.labels, data.classes, data.digest, data.notes)


def score_classes(
    scores: npt.NDArray[np.float64],
    labels: Sequence[int],
    classes: Sequence[str],
    digest: str,
    notes: Sequence[str],
) -> Accuracy:
    """scikit-learn's scores of the best classes of scores (M, C), of images or of clips; without
    `classes` nothing is known of them. `digest` and `notes` are the data's.

    Raises:
        DataError: the scores are not over the classes, or one is no number.
    """
    from sklearn.metrics import precision_recall_fscore_support

    truth = np.array([int(label) for label in labels])
    if not np.isfinite(scores).all():
        raise DataError("the model gives scores that are not numbers (NaN)")
    if not classes:
        return Accuracy(
            values={},
            images=len(scores),
            data_digest=digest,
            predictions_digest=_digest(scores),
            notes=(*notes, _NO_LABELS),
            unmeasured=dict.fromkeys(("accuracy", "top5", *_MACROS, *CALIBRATION), _NO_LABELS),
        )
    if scores.shape[1] != len(classes):
        raise DataError(
            f"the model gives {scores.shape[1]} classes, and the data has {len(classes)}",
            where="suite.output",
            next_step="background = 0 leaves out the background of a network that has one more"
            if scores.shape[1] == len(classes) + 1
            else "name the network's classes: classes = [3, 0, 7], or a file of their names, "
            'classes = "names.txt"',
        )
    called = scores.argmax(axis=1)
    present = np.unique(truth)
    per_class = precision_recall_fscore_support(
        truth, called, labels=present, average=None, zero_division=0.0
    )
    values = {name: float(part.mean()) for name, part in zip(_MACROS, per_class, strict=False)}
    shares = {
        "accuracy": (called == truth).astype(np.float64),
        **macro_shares(truth, called, present),
    }
    values["accuracy"] = float(shares["accuracy"].mean())
    if len(classes) > _FEW:
        shares["top5"] = (_better(scores, truth) < _FEW).astype(np.float64)
        values["top5"] = float(shares["top5"].mean())
    ones = np.ones(len(truth))
    accuracy = Accuracy(
        values=values,
        per_category={
            str(classes[label]): float(f1) for label, f1 in zip(present, per_class[2], strict=True)
        },
        images=len(truth),
        data_digest=digest,
        predictions_digest=_digest(scores),
        ratios={
            name: Ratio(numerator=Packed.of(share), denominator=Packed.of(ones))
            for name, share in shares.items()
        },
        notes=tuple(notes),
        unmeasured=dict.fromkeys(AT_A_POINT, NO_POINT),
    )
    return with_matches(accuracy, scores, truth, classes)


def _better(scores: npt.NDArray[np.float64], truth: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How many classes rank before the true one, (M,). Of equal scores the first class ranks first,
    as in `argmax`: of 8-bit scores most are 0, and a true class among these is not in front.
    """
    own = scores[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(scores.shape[1])[None, :] < truth[:, None]
    ranks: npt.NDArray[Any] = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return ranks


def _digest(scores: npt.NDArray[Any]) -> str:
    return hashlib.sha256(scores.astype(np.float32).tobytes()).hexdigest()


_NO_LABELS = "the data has no labels"

_MACROS = ("precision", "recall", "f1")


def macro_shares(
    truth: npt.NDArray[Any], called: npt.NDArray[Any], present: npt.NDArray[Any]
) -> dict[str, Floats]:
    """Each image's share (images,) of macro precision, recall and F1 over the classes `present`."""
    shares = {name: np.zeros(len(truth)) for name in _MACROS}
    for label in present:
        right = ((truth == label) & (called == label)).astype(np.float64)
        own, calls = (truth == label).astype(np.float64), (called == label).astype(np.float64)
        for name, top, bottom in (
            ("precision", right, calls),
            ("recall", right, own),
            ("f1", 2 * right, calls + own),
        ):
            shares[name] += _linear(top, bottom) / len(present)
    return shares


def _linear(top: Floats, bottom: Floats) -> Floats:
    """Shares (images,) whose mean is sum(top) / sum(bottom), 0 where nothing is below: the ratio,
    and each image's influence on it.
    """
    total = bottom.sum()
    if total == 0:
        return np.zeros(len(top))
    ratio = top.sum() / total
    shares: Floats = ratio + len(top) * (top - ratio * bottom) / total
    return shares


def compare(ours: npt.NDArray[Any], other: npt.NDArray[Any]) -> dict[str, tuple[Floats, Floats]]:
    """`agreement` and `score_shift` of two recipes' scores (images, C) of the same images: `other`
    is the reference.

    Raises:
        ValueError: the two are not of the same images and classes.
    """
    if ours.shape != other.shape:
        raise ValueError(f"scores of {ours.shape} and {other.shape}")
    called = other.argmax(axis=1)
    rows = np.arange(len(ours))
    ones = np.ones(len(ours))
    same = (ours.argmax(axis=1) == called).astype(np.float64)
    apart = np.abs(ours[rows, called].astype(np.float64) - other[rows, called])
    return {"agreement": (same, ones), "score_shift": (apart, ones)}
