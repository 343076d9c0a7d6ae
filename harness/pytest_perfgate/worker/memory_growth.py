"""The "growth" job: how a recipe's memory grows over a long run.

A leak is small beside the noise of one inference and grows in every stretch of a run; a cache that
fills, or an allocator that asks for more, grows once. So the run is cut into stretches, and the
growths of stretches are the sample: what happened in one of twenty is as large as its error.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import process_memory
from pytest_perfgate.records.launch import Growth
from pytest_perfgate.records.recipe import VALIDATION
from pytest_perfgate.worker.protocol import GrowthJob, GrowthMeasured, Send, WorkProgress
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of

STRETCHES = 20
_MOST = 3000  # images of a run, warm-up included
_SECONDS = 60.0  # of a run, at the most
_WARM_UP = 0.25  # share of a run
_LEAST = 5  # images of a stretch
_IMAGES = 16  # different ones that are cycled through


def growth(job: GrowthJob, send: Send) -> None:
    """Runs a recipe again and again; sends one `GrowthMeasured`."""
    process_memory.small_pages()
    data = SuiteData(job.suite)
    validation = data.split(VALIDATION)
    images = data.images(VALIDATION, range(min(_IMAGES, len(validation.images))))
    session = open_session(job.suite, job.suite.recipes[job.recipe], job.artifact)
    run, starts = FrameRun(data.pipeline, session), starts_of(data.task, validation)

    def infer(index: int) -> None:
        place = index % len(images)
        run.step([images[place]], begins=int(place in starts))

    def show(done: int, total: int) -> None:
        send(WorkProgress(done, total, "growth"))

    send(GrowthMeasured(watch(infer, process_memory.held, show)))


def watch(
    infer: Callable[[int], None],
    resident: Callable[[], int | None],
    show: Callable[[int, int], None] = lambda *_: None,
    *,
    most: int = _MOST,
    seconds: float = _SECONDS,
) -> Growth:
    """Calls `infer` again and again, and reads `resident` after every stretch.

    Raises:
        PerfgateError: the kernel does not tell how much memory is in use.
    """
    start = time.monotonic()
    for index in range(_LEAST):
        infer(index)
    pace = (time.monotonic() - start) / _LEAST  # the first ones are the slowest
    total = max(STRETCHES * _LEAST, min(most, int(seconds / max(pace, 1e-9))))
    stretch = max(_LEAST, round(total * (1 - _WARM_UP) / STRETCHES))
    warm_up = max(_LEAST, total - STRETCHES * stretch)
    for index in range(_LEAST, warm_up):
        infer(index)
    levels = [_known(resident())]
    for number in range(STRETCHES):
        for index in range(stretch):
            infer(number * stretch + index)
        levels.append(_known(resident()))
        show(warm_up + (number + 1) * stretch, total)
    return Growth(
        stretches=tuple(
            round(1000.0 * (after - before) / stretch, 1)
            for before, after in itertools.pairwise(levels)
        ),
        images=STRETCHES * stretch,
        warm_up=warm_up,
    )


def _known(level: int | None) -> int:
    if level is None:
        raise PerfgateError(
            "the kernel does not report how much memory this process has (RssAnon in "
            "/proc/self/status)",
            next_step="take the budget on memory_growth out on this machine: when = { … }",
        )
    return level
