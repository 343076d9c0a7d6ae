"""What an arm does in its turn: the yardsticks, a recipe, and a recipe whose memory is watched."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.building.builder import load
from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import process_memory
from pytest_perfgate.records.launch import RateRun
from pytest_perfgate.records.recipe import FLUSH, ROTATE
from pytest_perfgate.records.yardsticks import LENGTHS, SHORTEST, column
from pytest_perfgate.registry import derived, resolve
from pytest_perfgate.runtimes import DEVICE_UUID, InferenceSession
from pytest_perfgate.worker import device_yardstick, yardstick
from pytest_perfgate.worker.protocol import RecipeWork
from pytest_perfgate.workloads import Work, WorkContext, Workload, placement
from pytest_perfgate.workloads.evaluated_outputs import EvaluatedOutputs
from pytest_perfgate.workloads.images import Images
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.varied_images import EVALUATED, ROUNDS, WARM_UP

STAGES = Images.columns
"""The columns of images one at a time, and the first ones of the yardstick."""


_MEMORY_TURNS = 6  # after which a runtime has asked for all that an image takes


_MOST_SIZES = 4  # of images that are shown to it besides


_WARM_MIN, _WARM_MAX = 3, 12  # inferences before the first visit


_WARM_SECONDS = 2.0


class Visit:
    """What an arm does in its turn."""

    load_time = 0.0
    pace = 0.0
    fixed_batch = 0
    runs = 0
    paired = 0
    columns: tuple[str, ...] = STAGES
    processes: Sequence[int] = ()

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def sample(self, number: int) -> Sequence[float]:
        """A value for each column, of the image of that number."""
        raise NotImplementedError

    def latencies(self, number: int) -> Sequence[float]:
        """Seconds of each of `paired` requests of a turn that is compared; empty: not measured."""
        raise NotImplementedError

    def batch(self) -> float:
        """Seconds of a batch; NaN: the work has none."""
        raise NotImplementedError

    def inferences(self, seconds: float) -> tuple[float, float]:
        """Runs inferences of one image for so long: seconds, and how many they were."""
        raise NotImplementedError

    def peak_memory(self) -> int | None:
        """Bytes; None: unknown. An arm that takes timed turns has holes and huge pages in it."""
        return None

    def peak_device_memory(self) -> int | None:
        """The allocator's own word, in bytes; None where it has none."""
        return None

    def peak_server_memory(self) -> int | None:
        """Of the server that its session started, in bytes; None where it started none."""
        return None

    def unmeasured(self) -> dict[str, str]:
        """Why metrics of the workload have no value, by their names."""
        return {}

    def repeated(self) -> tuple[int, str]:
        """Runs that were repeated, and why the last of them was."""
        return 0, ""

    def rates(self) -> Sequence[RateRun]:
        """Runs of a search for the highest rate."""
        return ()

    def conclude(self) -> None:
        """Looks at all turns together, at the end; raises what is wrong with them."""


class YardstickVisit(Visit):
    """Times all its lengths in one go: the shorter are the begin of the longest."""

    columns = (*STAGES, *map(column, LENGTHS[1:]))

    def __init__(self) -> None:
        super().__init__()
        self._work = yardstick.piece()
        _warm(lambda _: self.sample(SHORTEST))

    def sample(self, number: int) -> Sequence[float]:
        """Up to `number` pieces."""
        clock = time.perf_counter
        times, done = [], 0
        start = clock()
        for pieces in LENGTHS:
            if pieces > max(SHORTEST, number):
                break
            while done < pieces:
                self._work()
                done += 1
            times.append(clock() - start)
        return 0.0, times[0], 0.0, math.nan, *times[1:]

    def batch(self) -> float:
        """See `Visit.batch`."""
        raise NotImplementedError  # a launch asks for batches of recipes only


class DeviceYardstickVisit(Visit):
    """Times the yardstick of a GPU."""

    def __init__(self, gpu: str) -> None:
        super().__init__()
        self._work = device_yardstick.on_gpu(gpu)
        self.facts = {DEVICE_UUID: gpu}
        _warm(self.sample)

    def sample(self, number: int) -> Sequence[float]:  # noqa: ARG002 - always the same work
        """See `Visit.sample`."""
        host, device = self._work.run()
        return 0.0, host, 0.0, device

    def batch(self) -> float:
        """See `Visit.batch`."""
        raise NotImplementedError  # a launch asks for batches of recipes only


class RecipeVisit(Visit):
    """A recipe's workload, with what is measured of every workload."""

    def __init__(self, work: RecipeWork, images: Sequence[Any]) -> None:
        super().__init__()
        spec = work.suite.recipes[work.recipe].workload
        workload: Workload = registry.find(registry.WORKLOADS, spec.name)
        options = workload.Options.model_validate(dict(spec.options))
        self.runs = workload.runs
        self._check = _check(work, images)
        context = _context(work, images, self._check)
        self._endpoint = context.endpoint
        self._begin()
        start = time.perf_counter()
        self._work = workload.open(options, context)
        derived(self._work, Work, f"the workload {spec.name!r} opens")
        self.load_time = time.perf_counter() - start
        self.facts = self._work.facts
        columns = self._work.columns
        self.columns = tuple(workload.columns if columns is None else columns)
        self.processes, self.paired = self._work.processes, self._work.paired
        self.fixed_batch = self._work.session.fixed_batch if self._work.session else 0
        self.pace = self._settle(images)
        self._check.forget()
        # What lives now lives to the end: later collections have less to look at, and none of the
        # frameworks' thousands of objects is visited in the middle of a sample.
        gc.collect()
        gc.freeze()

    def _begin(self) -> None:
        """What is done before the artifact is loaded."""
        self._grown = process_memory.grown()

    def _settle(self, images: Sequence[Any]) -> float:  # noqa: ARG002 - the memory's looks at them
        """Turns before the first that counts; seconds of the fastest. A run warms up by itself."""
        return 0.0 if self.runs else _warm(self.sample, WARM_UP)

    def sample(self, number: int) -> Sequence[float]:
        """See `Visit.sample`."""
        return self._work.sample(number)

    def batch(self) -> float:
        """See `Visit.batch`."""
        return self._work.batch()

    def latencies(self, number: int) -> Sequence[float]:
        """See `Visit.latencies`."""
        return self._work.latencies(number)

    def inferences(self, seconds: float) -> tuple[float, float]:
        """See `Visit.inferences`."""
        return self._work.inferences(seconds)

    def peak_device_memory(self) -> int | None:
        """See `Visit.peak_device_memory`."""
        return self._work.peak_device_memory()

    def peak_memory(self) -> int | None:
        """See `Visit.peak_memory`."""
        own, others = self._grown(), self._work.peak_memory()
        return None if own is None or others is None else own + others

    def peak_server_memory(self) -> int | None:
        """See `Visit.peak_server_memory`."""
        session = self._work.session
        return None if session is None else session.peak_server_memory()

    def unmeasured(self) -> dict[str, str]:
        """See `Visit.unmeasured`."""
        reasons = dict(self._work.unmeasured)
        if self._endpoint and self.peak_server_memory() is None:
            reasons["peak_memory"] = (
                "the server is no process of this session, so that its memory is not known; let "
                "the suite start it: runtime.start"
            )
        return reasons

    def repeated(self) -> tuple[int, str]:
        """See `Visit.repeated`."""
        return self._work.repeated

    def rates(self) -> Sequence[RateRun]:
        """See `Visit.rates`."""
        return self._work.rates

    def conclude(self) -> None:
        """See `Visit.conclude`."""
        self._check.conclude()


class MemoryVisit(RecipeVisit):
    """The same turns in every launch, in a process whose resident memory is what is in use."""

    def _begin(self) -> None:
        process_memory.only_what_is_in_use()
        self._grown = process_memory.grown_beside_libraries()

    def _settle(self, images: Sequence[Any]) -> float:
        if self.runs:  # one comes by many images
            self.sample(WARM_UP)
            return 0.0
        for number in range(WARM_UP, WARM_UP + _MEMORY_TURNS):
            self.sample(number)
        for number in _of_other_sizes(images):
            self.sample(number)
        return 0.0


def _of_other_sizes(images: Sequence[Any]) -> list[int]:
    """Numbers of turns that show an image of each size, the largest ones."""
    first = {image.shape: index for index, image in reversed(list(enumerate(images)))}
    if len(first) == 1:
        return []
    largest = sorted(first, key=math.prod, reverse=True)[:_MOST_SIZES]
    return [first[shape] * ROUNDS + EVALUATED for shape in largest]


def _check(work: RecipeWork, images: Sequence[Any]) -> OutputCheck:
    suite = work.suite
    return OutputCheck(
        images,
        EvaluatedOutputs.read(work.outputs),
        registry.find(registry.TASKS, suite.task).pack,
        suite.recipes[work.recipe].output_tolerance,
    )


def _context(work: RecipeWork, images: Sequence[Any], check: OutputCheck) -> WorkContext:
    suite, recipe = work.suite, work.suite.recipes[work.recipe]
    data = SuiteData(suite)
    return WorkContext(
        session=lambda: open_session(suite, recipe, work.artifact),
        module=lambda: load(work.artifact).module,
        pipeline=data.pipeline,
        images=images,
        data=data.split,
        trainer=lambda: resolve(suite.trainer, "suite.trainer"),
        batch=suite.batch,
        threads=suite.threads,
        flush=lambda session: flush_of(session, suite.between_samples),
        gpu=placement.on_gpu(recipe),
        endpoint=registry.find(registry.RUNTIMES, recipe.runtime.name).endpoint,
        grown=process_memory.grown,
        silence=work.silence,
        check=check,
    )


def flush_of(session: InferenceSession, policy: str) -> Callable[[], object] | None:
    """The function to call before every sample, outside its time; None: nothing.

    Raises:
        RuntimeFault: the policy flushes a cache that this session does not have.
    """
    if policy != FLUSH:
        return None
    if not session.flush_cache():
        raise RuntimeFault(
            f'between_samples = "{FLUSH}" is set, but this runtime cannot flush a device cache '
            "here",
            valid=f'"{ROTATE}"',
            next_step="run the recipe on a device, or leave `between_samples` out",
        )
    return session.flush_cache


def _warm(work: Callable[[int], Any], first: int = 0) -> float:
    """Runs `work`, on numbers from `first` on, until it has settled: no longer faster than the time
    before, or the cap; seconds of the fastest time.
    """
    start = time.perf_counter()
    fastest = float("inf")
    for count in range(_WARM_MAX):
        before = time.perf_counter()
        work(first + count)
        took = time.perf_counter() - before
        settled = took > fastest * 0.95
        fastest = min(fastest, took)
        late = time.perf_counter() - start > _WARM_SECONDS
        if count + 1 >= _WARM_MIN and (settled or late):
            break
    return fastest
