"""Images through the model, one at a time: what a recipe is measured by when it names nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.metric import OF_IMAGES, Metric
from pytest_perfgate.records.recipe import StepSpec
from pytest_perfgate.registry import Requirement
from pytest_perfgate.workloads import IMAGES, WorkContext

_UNTIMED = 2  # batches: the first asks for memory; ONNX Runtime plans by it, and allocates anew
_ENERGY_IMAGES = 8  # prepared before the energy of inferences is counted


class Images:
    """The workload of this file."""

    class Options(OptionsModel):
        """None."""

    name = IMAGES
    columns = ("preprocess", "inference", "postprocess", "device_time")
    metrics: Mapping[str, Metric] = {}
    measures = OF_IMAGES
    goal = "latency_p50"
    accepts: frozenset[str] | None = None
    requires: tuple[Requirement, ...] = ()
    preload: tuple[str, ...] = ()

    def adds(self, options: Any) -> tuple[StepSpec, ...]:  # noqa: ARG002 - the Protocol's
        """Nothing."""
        return ()

    def open(self, options: Any, context: WorkContext) -> _Work:  # noqa: ARG002 - the Protocol's
        """A session, and the stages around it."""
        return _Work(context)


class _Work:
    def __init__(self, context: WorkContext) -> None:
        self._session = context.session()
        self._pipeline = context.pipeline
        self._images = context.images
        self._batch_size = context.batch
        self._batched = False
        self._inputs: list[Any] = []
        self.facts = self._session.facts
        self._device_seconds: Callable[[], float] | None = getattr(
            self._session, "device_seconds", None
        )
        self._flush = context.flush(self._session)

    def sample(self, number: int) -> Sequence[float]:
        """The image of that number: seconds of each stage."""
        image = self._images[number % len(self._images)]
        if self._flush is not None:
            self._flush()
        clock = time.perf_counter
        begin = clock()
        batch, meta = self._pipeline.preprocess([image])
        ready = clock()
        outputs = self._session.run(batch)
        done = clock()
        self._pipeline.postprocess(outputs, meta)
        end = clock()
        device = math.nan if self._device_seconds is None else self._device_seconds()
        return ready - begin, done - ready, end - done, device

    def batch(self) -> float:
        """See `workloads.Batches`."""
        count = len(self._images)
        chosen = [self._images[index % count] for index in range(self._batch_size)]
        if not self._batched:
            self._batched = True
            for _ in range(_UNTIMED):
                batch, meta = self._pipeline.preprocess(chosen)
                self._pipeline.postprocess(self._session.run(batch), meta)
        start = time.perf_counter()
        batch, meta = self._pipeline.preprocess(chosen)
        self._pipeline.postprocess(self._session.run(batch), meta)
        return time.perf_counter() - start

    def inferences(self, seconds: float) -> tuple[float, float]:
        """See `workloads.Infers`."""
        if not self._inputs:
            chosen = self._images[:_ENERGY_IMAGES]
            self._inputs = [self._pipeline.preprocess([image])[0] for image in chosen]
        start, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < seconds:
            self._session.run(self._inputs[count % len(self._inputs)])
            count += 1
        return passed, float(count)

    def peak_device_memory(self) -> int | None:
        """The allocator's own word, in bytes; None where it has none."""
        ask = getattr(self._session, "peak_device_memory", None)
        return None if ask is None else ask()
