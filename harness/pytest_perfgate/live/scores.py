"""The classes of one result with their scores, read from the forms that results usually have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def scores_of(result: Any, classes: Sequence[str]) -> dict[str, float]:
    """Class to score: of a classifier the top class, of a detector each class with its best score.

    `result` is a mapping of classes to scores; an array (C,) or (1, C), or an object whose `scores`
    are one; or an object or mapping with `scores` (M,) and `categories` or `labels` (M,), indices
    into the classes.

    Raises:
        ValueError: the result has another form, a score is NaN, or a negative label's above 0.
    """
    labels = None
    if isinstance(result, Mapping):
        if "scores" not in result:
            return {str(name): float(score) for name, score in result.items()}
        labels = result.get("categories", result.get("labels"))
        result = result["scores"]
    elif hasattr(result, "scores"):
        labels = getattr(result, "categories", getattr(result, "labels", None))
        result = result.scores
    scores = np.asarray(result)
    if labels is not None:
        return _best(scores, np.asarray(labels), classes)
    if scores.size != len(classes) or scores.shape not in {(scores.size,), (1, scores.size)}:
        raise ValueError(f"{scores.shape} are no scores of {len(classes)} classes")
    top = int(scores.argmax())
    return {classes[top]: float(scores.reshape(-1)[top])}


def _best(scores: Any, labels: Any, classes: Sequence[str]) -> dict[str, float]:
    if scores.shape != labels.shape or scores.ndim != 1:
        raise ValueError(f"{scores.shape} scores have {labels.shape} categories")
    best: dict[str, float] = {}
    for label, score in zip(labels.tolist(), scores.tolist(), strict=True):
        if math.isnan(score):  # it compares as lower: the answer would look like one of fewer boxes
            raise ValueError("a score is not a number")
        if label < 0:
            if score > 0:
                raise ValueError(f"{label} is no category, and its score is {score}")
            continue  # padding of exports with suppression inside; -1 is not the last class
        name = classes[label]
        if score > best.get(name, -1.0):
            best[name] = score
    return best
