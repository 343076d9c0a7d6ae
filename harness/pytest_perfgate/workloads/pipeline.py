"""Images through a pipeline: several are under way at once, each in another of the three stages.

A turn is a stretch of images, admitted as fast as results come, so that there are always as many
under way as are asked for. What that wins is throughput; what it costs is the time that an image
takes from being admitted to its result, most of it waiting. Both are measured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

from pydantic import Field, model_validator

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.workloads import Work, WorkContext, Workload

_TOLERANCE = 1e-3  # of the largest value: threads add in another order

_METRICS = by_name(
    Metric.rate(
        "pipeline_throughput",
        "Images per second through all stages with several images in flight, median over stretches "
        "of images. A stretch begins and ends with an empty pipeline.",
        optional=True,
        headline=True,
    ),
    Metric.seconds(
        "response_time_p50",
        "Median time from an image's admission to its result, waiting included, median over "
        "stretches of images.",
        optional=True,
    ),
    Metric.seconds(
        "response_time_p95",
        "95th percentile of the time from an image's admission to its result, waiting included, "
        "median over stretches of images.",
        optional=True,
    ),
)


class Pipeline(Workload):
    """The workload of this file."""

    class Options(OptionsModel):
        """How much is under way, and in how many threads."""

        depth: int = Field(1, ge=1, le=256, description="images in flight; 1: one after the other")
        sessions: int = Field(
            1, ge=1, le=16, description="sessions for inference, each in a thread"
        )
        preprocess_threads: int = Field(1, ge=1, le=64, description="threads for pre-processing")
        postprocess_threads: int = Field(1, ge=1, le=64, description="threads for post-processing")
        images: int = Field(16, ge=2, description="images in a stretch")

        @model_validator(mode="after")
        def _fits(self) -> Pipeline.Options:
            """What could never be busy is an error before anything is built."""
            for name in ("sessions", "preprocess_threads", "postprocess_threads"):
                if getattr(self, name) > self.depth:
                    raise ValueError(
                        f"{name} = {getattr(self, name)} with depth = {self.depth}: no more can "
                        f"work at once than there are images in flight; valid: 1 to {self.depth}"
                    )
            if self.depth > self.images:
                raise ValueError(
                    f"depth = {self.depth} with images = {self.images}: a stretch needs as many "
                    f"images as are in flight; valid: images = {self.depth} or more"
                )
            return self

    name = "pipeline"
    columns = ("pipeline_throughput", "response_time_p50", "response_time_p95")
    metrics = _METRICS

    def open(self, options: Any, context: WorkContext) -> Work:
        """Starts the stages' threads; a session is opened by the thread that runs it. One image
        after the other needs no threads, and pays for none.

        Raises:
            RuntimeFault: results are not those of one image after the other, or nothing overlaps.
        """
        return _Work(options, context) if options.depth > 1 else _OneByOne(options, context)


class _OneByOne(Work):
    """What a pipeline is held against: the stages in turn, in one thread."""

    def __init__(self, options: Any, context: WorkContext) -> None:
        self._count = options.images
        self._images = context.images
        self._check = context.check
        self._stages = context.pipeline
        self.session: InferenceSession = context.session()
        self.facts: dict[str, Any] = dict(self.session.facts)

    def sample(self, number: int) -> Sequence[float]:
        """A stretch of images."""
        times, start = [], time.perf_counter()
        for index in range(self._count):
            admitted = time.perf_counter()
            image = self._images[(number * self._count + index) % len(self._images)]
            inputs, meta = self._stages.preprocess([image])
            outputs = self.session.run(inputs)
            self._stages.postprocess(outputs, meta)
            times.append(time.perf_counter() - admitted)
        whole = time.perf_counter() - start
        if self._check is not None:
            last = (number + 1) * self._count - 1
            self._check.inspect_shown([last % len(self._images)], outputs)
        return _values(times, whole)


def _values(times: Sequence[float], whole: float) -> tuple[float, float, float]:
    """Of a stretch, by its images' seconds and its own: the workload's columns."""
    import numpy as np

    median, slow = np.quantile(times, (0.5, 0.95))
    return len(times) / whole, float(median), float(slow)


@dataclass
class _Item:
    """An image on its way; `spans`: begin and end of each stage, seconds."""

    number: int
    admitted: float
    value: Any
    meta: Any = None
    outputs: tuple[Any, ...] = ()
    session: int = 0
    spans: list[tuple[float, float]] = field(default_factory=list)


class _Work(Work):
    def __init__(self, options: Any, context: WorkContext) -> None:
        self._options = options
        self._images = context.images
        self._check = context.check
        self._stages = context.pipeline
        self._queues: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(4)]
        self._facts: SimpleQueue[dict[str, Any] | BaseException] = SimpleQueue()
        for _ in range(options.preprocess_threads):
            self._thread(0, lambda: self._preprocess)
        facts: dict[str, Any] = {}
        for index in range(options.sessions):
            self._thread(1, partial(self._opened, context, index))
            facts = self._opened_facts()  # one after the other: what the first one caches is there
        for _ in range(options.postprocess_threads):
            self._thread(2, lambda: self._postprocess)
        self.facts: dict[str, Any] = {**facts, **self._proof()}

    def _thread(self, stage: int, begin: Callable[[], Callable[[_Item], None]]) -> None:
        threading.Thread(target=self._serve, args=(stage, begin), daemon=True).start()

    def _serve(self, stage: int, begin: Callable[[], Callable[[_Item], None]]) -> None:
        """A stage's thread: waits without using a core."""
        clock, requests, done = time.perf_counter, self._queues[stage], self._queues[stage + 1]
        try:
            work = begin()
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits for this thread
            self._facts.put(error)
            return
        while True:
            item = requests.get()
            start = clock()
            try:
                work(item)
            except BaseException as error:  # noqa: BLE001 - raised by whoever waits for results
                self._queues[-1].put(error)
                return
            item.spans.append((start, clock()))
            done.put(item)

    def _opened(self, context: WorkContext, index: int) -> Callable[[_Item], None]:
        session = context.session()

        def infer(item: _Item) -> None:
            item.outputs, item.session = session.run(item.value), index

        self._facts.put(session.facts)
        return infer

    def _opened_facts(self) -> dict[str, Any]:
        facts = self._facts.get()
        if isinstance(facts, BaseException):
            raise facts
        return facts

    def _preprocess(self, item: _Item) -> None:
        item.value, item.meta = self._stages.preprocess([item.value])

    def _postprocess(self, item: _Item) -> None:
        self._stages.postprocess(item.outputs, item.meta)

    def sample(self, number: int) -> Sequence[float]:
        """A stretch of images."""
        start = time.perf_counter()
        first = number * self._options.images
        items = self._stretch(first)
        whole = time.perf_counter() - start
        if self._check is not None:
            for item in items[:: self._options.depth]:
                position = (first + item.number) % len(self._images)
                self._check.inspect_shown([position], item.outputs)
        return _values([item.spans[-1][1] - item.admitted for item in items], whole)

    def _stretch(self, first: int, depth: int | None = None) -> list[_Item]:
        """Images from `first`, and as many under way as are asked for: what became of them."""
        under_way = depth or self._options.depth
        count, done = self._options.images, list[_Item]()
        for index in range(count):
            if index >= under_way:
                done.append(self._result())
            image = self._images[(first + index) % len(self._images)]
            self._queues[0].put(_Item(index, time.perf_counter(), image))
        while len(done) < count:
            done.append(self._result())
        return sorted(done, key=lambda item: item.number)

    def _result(self) -> _Item:
        item: _Item | BaseException = self._queues[-1].get()
        if isinstance(item, BaseException):
            raise item
        return item

    def _proof(self) -> dict[str, Any]:
        """Overlapped work is what was asked for, and gives what work one by one gives."""
        import numpy as np

        alone, together = self._stretch(0, depth=1), self._stretch(0)
        for one, other in zip(alone, together, strict=True):
            for ours, theirs in zip(one.outputs, other.outputs, strict=True):
                most = float(np.max(np.abs(ours), initial=0.0))
                if ours.shape != theirs.shape or not np.allclose(
                    ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE * most, equal_nan=True
                ):
                    raise RuntimeFault(
                        f"image {one.number} gives another output with {self._options.depth} "
                        "images in flight than alone",
                        where="workload",
                        next_step="look for state that the model keeps between inferences",
                    )
        overlap = _overlap([span for item in together for span in item.spans])
        used = len({item.session for item in together})
        if not overlap:
            raise RuntimeFault(
                f"depth = {self._options.depth} is set, but no two stages ever ran at the same "
                "time",
                where="workload.depth",
            )
        return {"sessions that inferred": used, "stages overlapped": f"{overlap:.0%} of the time"}


def _overlap(spans: Sequence[tuple[float, float]]) -> float:
    """Share of the time between first begin and last end in which two or more were at work."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    working, shared, last = 0, 0.0, edges[0][0]
    for at, change in edges:
        if working > 1:
            shared += at - last
        working, last = working + change, at
    return shared / (edges[-1][0] - edges[0][0])
