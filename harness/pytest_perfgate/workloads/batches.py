"""Batches of one size through the model: a turn is one batch, all stages.

Which size is the best is a question for a search: `size = { search = { choices = [1, 8] } }`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.workloads import Work, WorkContext, Workload
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.size_groups import SizeGroups, run_batch

_TURN = "pre-process, inference and post-process; compared arms take turns at every batch."


_METRICS = by_name(
    Metric.rate(
        "batch_throughput",
        f"Images per second in batches of the recipe's size, median over batches: {_TURN}",
        optional=True,
        headline=True,
    ),
    Metric.seconds(
        "batch_latency_p50",
        f"Median time of one batch of the recipe's size: {_TURN}",
        optional=True,
        incomparable_across_recipes=True,
        headline=True,
    ),
    Metric.seconds(
        "batch_latency_p95",
        f"95th percentile of the time of one batch of the recipe's size: {_TURN}",
        optional=True,
        incomparable_across_recipes=True,
    ),
)


class Batches(Workload):
    """The workload of this file."""

    class Options(OptionsModel):
        """How many images."""

        size: int = Field(1, ge=1, description="images in a batch")

    name = "batches"
    columns = ("batch_throughput", "batch_latency")
    metrics = _METRICS
    goal = "batch_throughput"

    def open(self, options: Any, context: WorkContext) -> _Work:
        """A session, and the stages around it."""
        return _Work(options.size, context)


class _Work(Work):
    def __init__(self, size: int, context: WorkContext) -> None:
        self.session: InferenceSession = context.session()
        self._pipeline = context.pipeline
        self._check = context.check or OutputCheck(context.images)
        self._size = size
        self._groups = SizeGroups(context.pipeline, context.images)
        self.facts = {**self.session.facts, "batch_size": size}
        self._flush = context.flush(self.session)

    def sample(self, number: int) -> Sequence[float]:
        """The batch of that number: images per second, and its seconds."""
        chosen = self._check.batch(number, self._size)
        groups = self._groups.batch(number * self._size, self._size)
        if self._flush is not None:
            self._flush()
        turn = run_batch(self._pipeline, self.session, chosen, groups)
        inference = turn.inference
        for group, outputs in zip(groups, turn.outputs, strict=True):
            self._check.inspect_batch(number, self._size, outputs, inference, places=group)
            inference = math.nan  # the turn is noted once
        return self._size / turn.seconds, turn.seconds
