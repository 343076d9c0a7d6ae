"""What every evaluation refuses."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.worker.scoring import refuse_missing


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_an_error(value: float) -> None:
    """Of a task of the project's own: no limit is broken by it, and it was INCONCLUSIVE."""
    task = SimpleNamespace(name="own", metrics=by_name(Metric.score("error", "Of something.")))
    data: Any = SimpleNamespace(task=task)
    accuracy = Accuracy(values={"error": 0.5}, images=1, data_digest="a", predictions_digest="b")
    refuse_missing(data, accuracy)
    with pytest.raises(PerfgateError, match="for error, which is no score"):
        refuse_missing(data, accuracy.model_copy(update={"values": {"error": value}}))
