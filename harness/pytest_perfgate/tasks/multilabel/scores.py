"""Mean average precision over labels, and its uncertainty from the images.

Average precision is no ratio of sums over images. It is linearised about its value, as macro
averages are (`classification_scores`): an image's share is the value plus the image's influence, so
that the mean of the shares is the value, and their spread its uncertainty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification.data import Called
    from pytest_perfgate.tasks.multilabel.data import MultilabelData

Floats = npt.NDArray[np.float64]

CONFIDENT = 0.5
"""Labels of at least this score are what an application would show."""

_NO_LABELS = "the data has no labels"


def evaluate(data: MultilabelData, predictions: Sequence[Called]) -> Accuracy:
    """Average precision of each label, and its mean.

    Raises:
        DataError: a prediction is missing, is not over the data's labels, or is no number.
    """
    if len(predictions) != len(data.images):
        raise DataError(f"there are {len(predictions)} predictions for {len(data.images)} images")
    scores = np.stack([np.asarray(one.scores, dtype=np.float64) for one in predictions])
    if not np.isfinite(scores).all():
        raise DataError("the model gives scores that are not numbers (NaN)")
    accuracy = Accuracy(
        values={},
        images=len(scores),
        data_digest=data.digest,
        predictions_digest=hashlib.sha256(scores.astype(np.float32).tobytes()).hexdigest(),
        notes=data.notes,
    )
    if not data.labelled:
        notes = (*data.notes, _NO_LABELS)
        return accuracy.model_copy(update={"notes": notes, "unmeasured": {"map": _NO_LABELS}})
    if scores.shape[1] != len(data.classes):
        raise DataError(
            f"the model gives {scores.shape[1]} labels, and the data has {len(data.classes)}",
            where="suite.output",
            next_step="name the network's labels: classes = [3, 0, 7], or a file of their names, "
            'classes = "names.txt"',
        )
    truth = np.array([[int(value) for value in row] for row in data.labels], dtype=bool)
    present = [label for label in range(len(data.classes)) if truth[:, label].any()]
    if not present:
        raise DataError("no image has a label, so there is no score")
    shares = {
        str(data.classes[label]): precision_shares(truth[:, label], scores[:, label])
        for label in present
    }
    absent = [str(name) for name in data.classes if str(name) not in shares]
    notes = (f"labels without an image, left out of map: {', '.join(absent)}",) if absent else ()
    mean = np.mean([*shares.values()], axis=0)
    return accuracy.model_copy(
        update={
            "per_category": {name: float(share.mean()) for name, share in shares.items()},
            "notes": (*data.notes, *notes),
        }
    ).with_ratios({"map": (mean, np.ones(len(mean)))})


def precision_shares(truth: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Each image's share (N,) of the average precision of one label that some image has.

    Average precision is the mean, over the images with the label, of the precision at their score:
    sum of (recall step) * precision, without interpolation, as scikit-learn has it. With weights w
    of the images it is sum_i w_i y_i T_i / M_i / sum_i w_i y_i; T_i is the weight of the images
    with the label, and M_i that of all images, whose score is at least that of image i. The
    influence of image j is the derivative by w_j where all weights are 1.
    """
    count = len(scores)
    order = np.argsort(-scores, kind="stable")
    label, ranked = truth[order].astype(np.float64), scores[order]
    # Equal scores are one threshold: `first` and `last` are the ends of the run that each is in.
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    run = np.cumsum(np.r_[True, ranked[1:] != ranked[:-1]]) - 1
    first = starts[run]
    last = np.r_[starts[1:], count][run] - 1
    hits, taken = np.cumsum(label)[last], (last + 1).astype(np.float64)
    total = label.sum()
    value = float((label * hits / taken).sum() / total)
    # Sums over the images whose score is at most that of image j.
    below = np.cumsum((label / taken)[::-1])[::-1][first]
    losses = np.cumsum((label * hits / taken**2)[::-1])[::-1][first]
    influence = (label * hits / taken + label * below - losses - label * value) / total
    shares = np.empty(count)
    shares[order] = value + count * influence
    return shares


def compare(ours: npt.NDArray[Any], other: npt.NDArray[Any]) -> dict[str, tuple[Floats, Floats]]:
    """`agreement` and `score_shift` of two recipes' scores (images, C) of the same images:
    numerator and denominator per image.

    - agreement: twice the labels that both are confident of, over those of each side.
    - score_shift: the difference of the scores, over the labels that a side is confident of.

    Raises:
        ValueError: the two are not of the same images and labels.
    """
    if ours.shape != other.shape:
        raise ValueError(f"scores of {ours.shape} and {other.shape}")
    sure, sure_other = ours >= CONFIDENT, other >= CONFIDENT
    either = sure | sure_other
    apart = np.where(either, np.abs(ours.astype(np.float64) - other), 0.0)
    return {
        "agreement": (
            2.0 * (sure & sure_other).sum(axis=1),
            (sure.sum(axis=1) + sure_other.sum(axis=1)).astype(np.float64),
        ),
        "score_shift": (apart.sum(axis=1), either.sum(axis=1).astype(np.float64)),
    }
