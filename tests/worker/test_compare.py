"""Predictions of a recipe beside its reference's, as the worker compares them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from pytest_perfgate.worker.compare import compare
from pytest_perfgate.worker.protocol import PredictionPair


def test_two_recipes_that_say_nothing_do_not_agree(tmp_path: Path) -> None:
    """No label is sure enough on either side: `agreement` was 1 and `score_shift` 0, and both were
    PASS, of images without annotations too, where nothing else tells that outputs are misread.
    """
    file = tmp_path / "predictions.npz"
    sent: list[Any] = []
    pair = PredictionPair("int8", file, file)
    job: Any = SimpleNamespace(
        suite=SimpleNamespace(task="multilabel"), pairs=(pair,), shown=frozenset()
    )
    for score in (0.1, 0.9):
        np.savez(file, scores=np.full((3, 2), score, np.float32))
        compare(job, sent.append)
    nothing, sure = sent
    assert nothing.metrics == {}
    assert set(nothing.unmeasured) == {"agreement", "score_shift"}
    assert "neither the recipe nor its reference" in nothing.unmeasured["agreement"]
    assert {name: one.value for name, one in sure.metrics.items()} == {
        "agreement": 1.0,
        "score_shift": 0.0,
    }
    assert sure.unmeasured == {}
