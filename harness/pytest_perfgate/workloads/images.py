"""Images through the model, one at a time: what a recipe is measured by when it names nothing."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from pytest_perfgate.metric import OF_IMAGES
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.workloads import IMAGES, Work, WorkContext, Workload
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.size_groups import BatchTurn, Group, SizeGroups, run_batch
from pytest_perfgate.workloads.varied_images import EVALUATED, WARM_UP

_UNTIMED = 2  # batches: the first asks for memory; ONNX Runtime plans by it, and allocates anew
_ENERGY_IMAGES = 8  # prepared before the energy of inferences is counted


class Images(Workload):
    """The workload of this file."""

    name = IMAGES
    columns = ("preprocess", "inference", "postprocess", "device_time")
    measures = OF_IMAGES
    goal = "latency_p50"

    @override
    def open(self, options: Any, context: WorkContext) -> _Work:
        """A session, and the stages around it."""
        return _Work(context)


class _Work(Work):
    def __init__(self, context: WorkContext) -> None:
        self.session: InferenceSession = context.session()
        self._pipeline = context.pipeline
        self._images = context.images
        self._check = context.check or OutputCheck(context.images)
        self._batch_size = context.batch
        self._groups: SizeGroups | None = None
        self._inputs: list[Any] = []
        self.facts = self.session.facts
        self._flush = context.flush(self.session)

    def sample(self, number: int) -> Sequence[float]:
        """The image of that number: seconds of each stage."""
        image = self._check.image(number)
        if self._flush is not None:
            self._flush()
        clock = time.perf_counter
        begin = clock()
        inputs, meta = self._pipeline.preprocess([image])
        ready = clock()
        outputs = self.session.run(inputs)
        done = clock()
        predictions = self._pipeline.postprocess(outputs, meta)
        end = clock()
        device = self.session.device_seconds()
        again = functools.partial(self._pipeline.postprocess, outputs, meta)
        self._check.inspect(number, outputs, predictions, again, done - ready)
        return ready - begin, done - ready, end - done, device

    def batch(self) -> float:
        """See `Work.batch`: not measured where the artifact has another batch of its own."""
        size = self._batch_size
        if self.session.fixed_batch not in {0, size}:
            return math.nan
        if self._groups is None:
            self._groups = SizeGroups(self._pipeline, self._images)
            for number in range(WARM_UP, WARM_UP + _UNTIMED):
                self._run(number, size, self._groups)
        turn, groups = self._run(EVALUATED, size, self._groups)
        for group, outputs in zip(groups, turn.outputs, strict=True):
            self._check.inspect_batch(EVALUATED, size, outputs, places=group)
        return turn.seconds

    def _run(
        self, number: int, size: int, known: SizeGroups
    ) -> tuple[BatchTurn, tuple[Group, ...]]:
        """The batch of that number, and the groups in which it ran."""
        chosen, groups = self._check.batch(number, size), known.batch(number * size, size)
        return run_batch(self._pipeline, self.session, chosen, groups), groups

    def inferences(self, seconds: float) -> tuple[float, float]:
        """See `Work.inferences`."""
        if not self._inputs:
            chosen = self._images[:_ENERGY_IMAGES]
            self._inputs = [self._pipeline.preprocess([image])[0] for image in chosen]
        start, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < seconds:
            self.session.run(self._inputs[count % len(self._inputs)])
            count += 1
        return passed, float(count)
