"""Faults in predictions, of every task whose predictions have what the fault changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pytest_perfgate.proving.catalogue import DoesNotApply
from pytest_perfgate.tasks.classification.data import Called
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.segmentation.data import Segments

SHIFT = 2
"""Pixels that boxes and masks are shifted by."""

_DECIMALS = 1
_WIDER = 0.1
_TWIN = 0.9  # of the score of the detection that it repeats
_ASIDE = 3.0  # pixels between a detection and its twin


def halve_scores(prediction: Any) -> Any:
    """Every score halved."""
    return _with_scores(prediction, lambda scores: scores * scores.dtype.type(0.5))


def round_scores(prediction: Any) -> Any:
    """Every score rounded to one decimal."""
    return _with_scores(prediction, lambda scores: scores.round(_DECIMALS))


def _with_scores(prediction: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(prediction, (Prediction, Called)) or (
        isinstance(prediction, Segments) and prediction.scores is not None
    ):
        return replace(prediction, scores=change(prediction.scores))
    raise DoesNotApply(f"{type(prediction).__name__} has no scores")


def shift(prediction: Any) -> Any:
    """Boxes float32 (M, 4), or the labels (H, W) of a mask, two pixels farther right."""
    import numpy as np

    if isinstance(prediction, Segments):
        return replace(prediction, labels=np.roll(prediction.labels, SHIFT, axis=1))
    aside = np.array([SHIFT, 0, SHIFT, 0], dtype=np.float32)
    return replace(prediction, boxes=_detection(prediction).boxes + aside)


def widen(prediction: Any) -> Any:
    """Boxes a tenth wider, about their middle."""
    import numpy as np

    boxes = _detection(prediction).boxes
    extra = (boxes[:, 2] - boxes[:, 0]) * np.float32(_WIDER / 2)
    zero = np.zeros_like(extra)
    return replace(prediction, boxes=boxes + np.stack([-extra, zero, extra, zero], axis=1))


def drop_class(prediction: Any) -> Any:
    """Without the first class: no detection of it, the lowest score, or the second class's
    pixels.
    """
    if isinstance(prediction, Prediction):
        kept = prediction.categories != 0
        return Prediction(
            prediction.boxes[kept], prediction.scores[kept], prediction.categories[kept]
        )
    if isinstance(prediction, Called):
        scores = prediction.scores.copy()
        scores[0] = 0
        return replace(prediction, scores=scores)
    if isinstance(prediction, Segments):
        labels = prediction.labels.copy()
        labels[labels == 0] = 1
        return replace(prediction, labels=labels)
    raise DoesNotApply(f"{type(prediction).__name__} has no classes")


def swap_classes(prediction: Any) -> Any:
    """The first two classes change places."""
    import numpy as np

    if isinstance(prediction, Called):
        scores = prediction.scores.copy()
        scores[[0, 1]] = scores[[1, 0]]
        return replace(prediction, scores=scores)
    if isinstance(prediction, Prediction):
        names, key = prediction.categories, "categories"
    elif isinstance(prediction, Segments):
        names, key = prediction.labels, "labels"
    else:
        raise DoesNotApply(f"{type(prediction).__name__} has no classes")
    swapped = np.where(names == 0, 1, np.where(names == 1, 0, names)).astype(names.dtype)
    return replace(prediction, **{key: swapped})


def keep_best(prediction: Any) -> Any:
    """The best detection alone."""
    first = _detection(prediction)
    return Prediction(first.boxes[:1], first.scores[:1], first.categories[:1])


def duplicate(prediction: Any) -> Any:
    """Every detection and beside it another one, with a score a tenth lower; best first."""
    import numpy as np

    one = _detection(prediction)
    aside = np.array([_ASIDE, 0, _ASIDE, 0], dtype=np.float32)
    boxes = np.concatenate([one.boxes, one.boxes + aside])
    scores = np.concatenate([one.scores, one.scores * np.float32(_TWIN)])
    categories = np.concatenate([one.categories, one.categories])
    order = np.argsort(-scores, kind="stable")
    return Prediction(boxes[order], scores[order], categories[order])


def _detection(prediction: Any) -> Prediction:
    if not isinstance(prediction, Prediction):
        raise DoesNotApply(f"{type(prediction).__name__} has no boxes")
    return prediction


PREDICTIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "scores_halved": halve_scores,
        "scores_rounded": round_scores,
        "boxes_shifted": shift,
        "boxes_wide": widen,
        "class_dropped": drop_class,
        "classes_swapped": swap_classes,
        "best_only": keep_best,
        "duplicates": duplicate,
    }
)
