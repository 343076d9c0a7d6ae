"""Replicas: a turn is a stretch in which several processes work at once, and one of them alone.

Each replica is a process with a session of its own on a device of its own: a GPU where the runtime
needs one, else cores that no other has. What the others cost is told by the stretch alone, which is
of the same turn: a machine that slows down between turns moves both.
"""

from __future__ import annotations

import functools
import gc
import math
import mmap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.machine.cuda_context import refuse_opened
from pytest_perfgate.metric import Better, Metric, Rule, by_name
from pytest_perfgate.runtimes import DEVICE_UUID
from pytest_perfgate.units import Unit
from pytest_perfgate.workloads import Work, WorkContext, Workload
from pytest_perfgate.workloads.child_processes import Begin, Dialogue, Forks
from pytest_perfgate.workloads.placement import Place, actual_place, prove_apart, take
from pytest_perfgate.workloads.size_groups import BatchTurn, SizeGroups, run_batch

_BATCH = (
    "Time of a batch from decoded pixels to final results, over all replicas, while all of them "
    "work"
)

_WAITS = 50e-6  # seconds between looks for those that are not there yet
_SPINS = 200  # looks before it


_METRICS = by_name(
    Metric.rate(
        "replica_throughput",
        "Images per second of all replicas together: the sum of their own rates while all of them "
        "work. Median over turns.",
        optional=True,
        headline=True,
    ),
    Metric(
        "scaling_efficiency",
        Unit.RATIO,
        Better.HIGHER,
        Rule.LAUNCHES,
        True,
        "`replica_throughput` divided by the number of replicas times the images per second of one "
        "replica alone, measured in the same turn, each replica in its turn: 1 when they do not "
        "slow each other down. Median over turns.",
        optional=True,
    ),
    *(
        Metric.seconds(f"replica_latency_p{level}", f"{_BATCH}: {words}.", optional=True)
        for level, words in ((50, "median"), (95, "95th percentile"), (99, "99th percentile"))
    ),
)


class Replicas(Workload):
    """The workload of this file."""

    class Options(OptionsModel):
        """Options of replicas."""

        devices: int = Field(
            ge=2, description="replicas, each in a process and on a device of its own"
        )
        batch_size: int | None = Field(
            None, ge=1, description="images in a batch; default: the suite's `batch`"
        )
        batches: int = Field(4, ge=1, description="batches of a replica in a stretch")

    name = "replicas"
    columns = ("replica_throughput", "scaling_efficiency", "replica_latency")
    metrics = _METRICS

    def open(self, options: Any, context: WorkContext) -> _Work:
        """The replicas, each with its session open and after its first batch."""
        return _Work(options, context)


@dataclass(frozen=True)
class _Stretch:
    """A request: run a stretch.

    Attributes:
        serial: of the stretch, by which replicas find each other.
        number: of the turn.
        active: the replicas that take part.
    """

    serial: int
    number: int
    active: tuple[int, ...]


@dataclass(frozen=True)
class _AskMemory:
    """A request: how much memory is held."""


@dataclass(frozen=True)
class _Ready:
    """The first answer: what the runtime says of itself, and where it really is."""

    facts: dict[str, Any]
    place: Place


@dataclass(frozen=True)
class _Times:
    """Seconds of each batch of a stretch, and where it ran."""

    times: tuple[float, ...]
    place: Place


@dataclass(frozen=True)
class _Memory:
    """Bytes, None where they are not measured."""

    resident: int | None
    device: int | None


_Request = _Stretch | _AskMemory
_Answer = _Ready | _Times | _Memory


class _Work(Work):
    def __init__(self, options: Any, context: WorkContext) -> None:
        count = options.devices
        self._size = options.batch_size or context.batch
        self._batches = options.batches
        self._places = take(count, context.threads, gpu=context.gpu)
        refuse_opened()
        meeting = _Meeting(count)
        begins: list[Begin[_Answer, _Request]] = [
            functools.partial(
                _begin, number, place, meeting, context, size=self._size, batches=self._batches
            )
            for number, place in enumerate(self._places)
        ]
        names = [f"replica {number} ({place})" for number, place in enumerate(self._places)]
        # A turn has two stretches, and its own end.
        dialogue: Dialogue[_Request, _Answer] = Dialogue.of(get_args(_Request), get_args(_Answer))
        self._forks = Forks(names, begins, dialogue, 0.4 * context.silence)
        self._all = range(count)
        self._serial = 0
        self.columns = ("replica_throughput", "scaling_efficiency") + ("replica_latency",) * (
            count * self._batches
        )
        self.processes: Sequence[int] = self._forks.pids
        ready = [answer for answer in self._forks.first() if isinstance(answer, _Ready)]
        prove_apart(self._places, [answer.place for answer in ready])
        first = dict(ready[0].facts)
        self.facts: dict[str, Any] = first | {
            "replicas": count,
            "batch_size": self._size,
            "places": [str(answer.place) for answer in ready],
        }
        if context.gpu:
            self.facts[DEVICE_UUID] = [place.gpu for place in self._places]

    def sample(self, number: int) -> Sequence[float]:
        """All replicas at once, and one alone, in turns before and after it."""
        alone = (number // 2) % len(self._all)
        if number % 2:
            one, every = self._stretch([alone], number), self._stretch(self._all, number)
        else:
            every, one = self._stretch(self._all, number), self._stretch([alone], number)
        images = self._size * self._batches
        together = math.fsum(images / math.fsum(times) for times in every)
        single = images / math.fsum(one[0])
        return (
            together,
            together / (len(every) * single),
            *(seconds for times in every for seconds in times),
        )

    def peak_memory(self) -> int | None:
        """What the replicas have come to hold, added up, in bytes."""
        return _sum(answer.resident for answer in self._memories())

    def peak_device_memory(self) -> int | None:
        """What the replicas' allocators held, added up, in bytes."""
        return _sum(answer.device for answer in self._memories())

    def _memories(self) -> list[_Memory]:
        answers = self._forks.ask(self._all, _AskMemory())
        return [answer for answer in answers if isinstance(answer, _Memory)]

    def _stretch(self, active: Sequence[int], number: int) -> list[tuple[float, ...]]:
        """Seconds of each batch of these replicas, which begin together."""
        self._serial = self._serial % _Meeting.LAST + 1
        answers = self._forks.ask(active, _Stretch(self._serial, number, tuple(active)))
        times = [answer for answer in answers if isinstance(answer, _Times)]
        prove_apart([self._places[at] for at in active], [answer.place for answer in times])
        return [answer.times for answer in times]


def _sum(values: Iterable[int | None]) -> int | None:
    """None where one of the values was not measured."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


class _Meeting:
    """Memory that replicas share: which of them have come to a stretch, and which are through."""

    LAST = 255

    def __init__(self, count: int) -> None:
        self._count = count
        self._marks = mmap.mmap(-1, 2 * count)

    def begin(self, number: int, active: Sequence[int], serial: int) -> None:
        """Waits until all of `active` are here."""
        self._marks[number] = serial
        looks = 0
        while any(self._marks[replica] != serial for replica in active):
            looks += 1
            if looks > _SPINS:
                time.sleep(_WAITS)

    def through(self, number: int, serial: int) -> None:
        """Says that this one has done its batches."""
        self._marks[self._count + number] = serial

    def over(self, active: Sequence[int], serial: int) -> bool:
        """Whether all of `active` have."""
        return all(self._marks[self._count + replica] == serial for replica in active)


def _begin(
    number: int, place: Place, meeting: _Meeting, context: WorkContext, *, size: int, batches: int
) -> tuple[_Answer, Callable[[_Request], _Answer]]:
    """A replica, in its process: goes to its place, and opens its session there."""
    place.enter()
    memory = context.grown()
    session = context.session()
    flush = context.flush(session)
    images = context.images

    groups = SizeGroups(context.pipeline, images)

    def batch(first: int) -> BatchTurn:
        chosen = [images[(first + offset) % len(images)] for offset in range(size)]
        if flush is not None:
            flush()
        return run_batch(context.pipeline, session, chosen, groups.batch(first, size))

    def inspect(first: int, turn: BatchTurn) -> None:
        if context.check is None:
            return
        for group, outputs in zip(groups.batch(first, size), turn.outputs, strict=True):
            shown = [(first + place) % len(images) for place in group]
            context.check.inspect_shown(shown, outputs)

    def answer(request: _Request) -> _Answer:
        if isinstance(request, _AskMemory):
            return _Memory(memory(), session.peak_device_memory())
        active, serial = request.active, request.serial
        # No two replicas have the same images at once, and no two batches of a turn.
        first = (request.number * len(active) + number) * batches * size
        meeting.begin(number, active, serial)
        times = []
        for at in range(batches):
            turn = batch(first + at * size)
            times.append(turn.seconds)
        meeting.through(number, serial)
        while not meeting.over(active, serial):  # whoever is slower has all beside it to its end
            batch(first)
        inspect(first + (batches - 1) * size, turn)
        return _Times(tuple(times), actual_place(session.facts))

    batch(0)
    gc.collect()
    gc.freeze()
    return _Ready(session.facts, actual_place(session.facts)), answer
