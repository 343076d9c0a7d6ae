"""An arm's side of a launch: one process that waits for its turn, runs, and says how long.

It is forked from the launch's parent, or, when two interpreters are compared, a program of its own.
Turns arrive as a few bytes on a pipe; times leave as packed doubles. Nothing of this is inside the
timed region. An arm imports the suite's code itself, at its own version: the parent never does.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter

from harness.errors import RuntimeFault
from harness.measure import memory, yardstick
from harness.recipe import FLUSH, ROTATE, Suite

SAMPLE, BATCH, ENERGY, FINISH = b"s", b"b", b"e", b"f"

TURN = struct.Struct("<cI")
"""What an arm is asked for: one of the above, and the number of the image to begin with; for
`ENERGY` how many milliseconds to run.
"""

TIMES = struct.Struct("<4d")
"""A turn's times in seconds: pre-process, inference, post-process, and of the inference the time on
the device (NaN: not measured). A batch fills only the first; `ENERGY` the first, and how many
inferences there were in it.
"""

Sample = tuple[float, float, float]

_WARM_MIN, _WARM_MAX = 3, 12  # inferences before the first visit
_WARM_SECONDS = 2.0

_ENERGY_IMAGES = 8  # prepared before the energy of inferences is counted


def serve(arm: dict[str, Any], images: Sequence[Any], turns: int, answers: int) -> None:
    """Opens what the arm measures, says so, and then takes turns until told to finish.

    `arm` is plain data: its "kind", `yardstick.KIND` for the fixed workload, its "root", "" for no
    code of a project, and what a recipe needs. `images` are decoded, uint8 (H, W, 3).

    Answers a line of JSON when ready, `TIMES` per `TURN`, and a line of JSON at the end.
    """
    root = arm.get("root")
    if root:
        os.chdir(root)
        sys.path.insert(0, root)
    visit: _Visit = (
        _YardstickVisit() if arm["kind"] == yardstick.KIND else _RecipeVisit(arm, images)
    )
    _say(answers, {"type": "ready", "load_time": visit.load_time, "facts": visit.facts})
    while True:
        asked = os.read(turns, TURN.size)
        if not asked:
            return  # the launch has ended
        turn, number = TURN.unpack(asked)
        if turn == SAMPLE:
            times = visit.sample(number)
            os.write(answers, TIMES.pack(*times, visit.device))
        elif turn == BATCH:
            os.write(answers, TIMES.pack(visit.batch(), 0.0, 0.0, math.nan))
        elif turn == ENERGY:
            os.write(answers, TIMES.pack(*visit.inferences(number / 1e3), 0.0, math.nan))
        else:
            break
    _say(
        answers,
        {
            "type": "finished",
            "peak_memory": visit.peak_memory(),
            "device_memory": visit.peak_device_memory(),
        },
    )


class _Visit:
    """What an arm does in its turn."""

    load_time = 0.0
    device = math.nan  # seconds that the last sample's inference took on the device

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def sample(self, number: int) -> Sample:
        """Seconds of each stage for the image of that number."""
        raise NotImplementedError

    def batch(self) -> float:
        raise NotImplementedError

    def inferences(self, seconds: float) -> tuple[float, float]:
        """Runs inferences of one image for so long: seconds, and how many they were."""
        raise NotImplementedError

    def peak_memory(self) -> int | None:
        raise NotImplementedError

    def peak_device_memory(self) -> int | None:
        """The allocator's own word, in bytes; None where it has none."""
        return None


class _YardstickVisit(_Visit):
    def __init__(self) -> None:
        super().__init__()
        self._work = yardstick.workload()
        _warm(self.sample)

    def sample(self, number: int) -> Sample:  # noqa: ARG002 - always the same work
        start = time.perf_counter()
        self._work()
        return 0.0, time.perf_counter() - start, 0.0

    def batch(self) -> float:
        raise NotImplementedError  # nobody asks for it

    def peak_memory(self) -> int | None:
        return None


class _RecipeVisit(_Visit):
    _flush: Callable[[], None] | None = None
    _device_seconds: Callable[[], float] | None = None

    def __init__(self, arm: dict[str, Any], images: Sequence[Any]) -> None:
        super().__init__()
        from harness.measure.prepare import open_session
        from harness.measure.suitedata import SuiteData

        suite = TypeAdapter(Suite).validate_python(arm["suite"])
        self._pipeline = SuiteData(suite).pipeline
        self._images = images
        self._batched = False
        self._batch_size = suite.batch
        self._base = memory.resident()
        memory.reset_peak()
        start = time.perf_counter()
        self._session = open_session(suite, suite.recipes[arm["recipe"]], arm["reference"])
        self.load_time = time.perf_counter() - start
        self.facts = self._session.facts
        self._device_seconds = getattr(self._session, "device_seconds", None)
        self._flush = flush_of(self._session, suite.between_samples)
        self._inputs: list[Any] = []
        _warm(self.sample)
        # What lives now lives to the end: later collections have less to look at.
        gc.collect()
        gc.freeze()

    def sample(self, number: int) -> Sample:
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
        if self._device_seconds is not None:
            self.device = self._device_seconds()
        return ready - begin, done - ready, end - done

    def batch(self) -> float:
        count = len(self._images)
        chosen = [self._images[index % count] for index in range(self._batch_size)]
        if not self._batched:  # the first of its size asks the kernel for memory
            self._batched = True
            batch, meta = self._pipeline.preprocess(chosen)
            self._pipeline.postprocess(self._session.run(batch), meta)
        start = time.perf_counter()
        batch, meta = self._pipeline.preprocess(chosen)
        self._pipeline.postprocess(self._session.run(batch), meta)
        return time.perf_counter() - start

    def inferences(self, seconds: float) -> tuple[float, float]:
        if not self._inputs:
            chosen = self._images[:_ENERGY_IMAGES]
            self._inputs = [self._pipeline.preprocess([image])[0] for image in chosen]
        start, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < seconds:
            self._session.run(self._inputs[count % len(self._inputs)])
            count += 1
        return passed, float(count)

    def peak_device_memory(self) -> int | None:
        ask = getattr(self._session, "peak_device_memory", None)
        return None if ask is None else ask()

    def peak_memory(self) -> int | None:
        peak = memory.peak()
        if peak is None or self._base is None:
            return None
        return max(0, peak - self._base)


def flush_of(session: Any, policy: str) -> Callable[[], None] | None:
    """What is done before every sample, outside of its time; None for nothing.

    Raises:
        RuntimeFault: the policy asks for what this session cannot do.
    """
    if policy != FLUSH:
        return None
    flush: Callable[[], None] | None = getattr(session, "flush_cache", None)
    if flush is None:
        raise RuntimeFault(
            f'between_samples = "{FLUSH}" was asked for, and this runtime flushes no cache of a '
            "device here",
            valid=f'"{ROTATE}"',
            next_step="run the recipe on a device, or leave `between_samples` out",
        )
    return flush


def _warm(work: Callable[[int], Any]) -> None:
    """Runs `work` until it has settled: no longer faster than the time before, or the cap."""
    start = time.perf_counter()
    fastest = float("inf")
    for count in range(_WARM_MAX):
        before = time.perf_counter()
        work(count)
        took = time.perf_counter() - before
        settled = took > fastest * 0.95
        fastest = min(fastest, took)
        late = time.perf_counter() - start > _WARM_SECONDS
        if count + 1 >= _WARM_MIN and (settled or late):
            return


def _say(answers: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(answers, data) :]
