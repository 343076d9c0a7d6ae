"""Whether outputs are scores already, of which an activation would make others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Doubt

_ROUNDING = 1e-3  # of a sum of scores in half precision
_FEWEST = 16  # numbers that all lie from 0 to 1, so that they are no logits


def doubt_applied_twice(
    samples: Sequence[tuple[tuple[Any, ...], Any]], activation: str
) -> Doubt | None:
    """Why the first outputs of `samples` (see `Task.doubt_outputs`) are no input of `activation`:
    they are scores already. The best class stays the best, so that accuracy does not show it. But a
    sigmoid of a sigmoid is 0.5 or more for every label, and a softmax of a softmax is nearly the
    same for all classes: `agreement`, `score_shift` and `ece` would hold whatever a recipe does.
    """
    import numpy as np

    from pytest_perfgate.records.accuracy import Doubt

    outputs = [np.asarray(arrays[0]) for arrays, _ in samples if len(arrays)]
    outputs = [one.astype(np.float64) for one in outputs if one.ndim > 1 and one.size]
    if not outputs or activation == "none":
        return None
    if min(one.min() for one in outputs) < 0 or max(one.max() for one in outputs) > 1 + _ROUNDING:
        return None
    what = "the network's outputs are scores from 0 to 1"
    if activation == "softmax":
        axes = (1, -1)
        if not any(_add_up(outputs, axis) for axis in axes):
            return None
        what = "the network's outputs are scores that add up to 1 over the classes"
    elif sum(one.size for one in outputs) < _FEWEST:
        return None
    return Doubt(
        problem=f'{what} already, and activation = "{activation}" is applied to them once more',
        next_step='activation = "none" in [suite.output]',
    )


def _add_up(outputs: Sequence[Any], axis: int) -> bool:
    return all(bool((abs(one.sum(axis=axis) - 1) <= _ROUNDING).all()) for one in outputs)
