"""Outputs that are scores already."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.tasks.classification import Classification
from pytest_perfgate.tasks.classification import Output as OneClass
from pytest_perfgate.tasks.multilabel import Multilabel
from pytest_perfgate.tasks.multilabel import Output as Labels
from pytest_perfgate.tasks.segmentation import Segmentation
from pytest_perfgate.tasks.segmentation.output import Output as Pixels
from scipy.special import expit, softmax

LOGITS = np.random.default_rng(0).normal(0, 3, (8, 1, 5)).astype(np.float32)
MAPS = np.random.default_rng(1).normal(0, 3, (2, 1, 5, 4, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("task", "options", "logits", "scores"),
    [
        (Classification(), OneClass(), LOGITS, softmax(LOGITS, axis=2)),
        (Multilabel(), Labels(), LOGITS, expit(LOGITS)),
        (Segmentation(), Pixels(), MAPS, softmax(MAPS, axis=2)),
    ],
)
def test_an_activation_that_is_applied_twice_is_a_doubt(
    task: Any, options: Any, logits: Any, scores: Any
) -> None:
    """Its agreement was 1 whatever a recipe did; logits, and scores without an activation, are
    what is declared.
    """
    doubt = task.doubt_outputs([((row,), None) for row in scores], options)
    assert "already" in doubt.problem
    assert doubt.next_step == 'activation = "none" in [suite.output]'
    assert task.doubt_outputs([((row,), None) for row in logits], options) is None
    plain = options.model_copy(update={"activation": "none"})
    assert task.doubt_outputs([((row,), None) for row in scores], plain) is None
