"""The "profile" job: where the time of one recipe's inferences goes, in a process of its own.

It runs after the measuring: a profiler slows down what it looks at, and no time that is judged was
taken under one.
"""

from __future__ import annotations

import os
import statistics
import time

from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.profile import Profile
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.worker.loading import read_images
from pytest_perfgate.worker.protocol import Profiled, ProfileJob, Send

_PLAIN = 5  # inferences without the profiler: to know what one takes
_FEWEST, _MOST = 5, 50
_SECONDS = 2.0  # of profiled inferences
_ROWS = 400  # operators that are handed over, at most: the slowest


def profile(job: ProfileJob, send: Send) -> None:
    """Profiles a recipe on the first of its images; sends one `Profiled`."""
    if job.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cores)
    session = open_session(job.suite, job.suite.recipes[job.recipe], job.artifact)
    try:
        inputs, _ = SuiteData(job.suite).pipeline.preprocess(read_images(job.images)[:1])
        operators = _profiled(session, inputs)
    finally:
        session.close()
    send(Profiled(operators))


def _profiled(session: InferenceSession, inputs: Inputs) -> Profile:
    took = []
    for _ in range(_PLAIN + 1):
        start = time.perf_counter()
        session.run(inputs)
        took.append(time.perf_counter() - start)
    plain = statistics.median(took[1:])  # the first one allocates
    count = min(_MOST, max(_FEWEST, int(_SECONDS / max(plain, 1e-6))))
    rows = session.profile(inputs, count)
    if rows is None:
        return Profile(problem="its runtime has no profiler")
    rows.sort(key=lambda row: -row.seconds)
    if not rows:
        return Profile(tool=session.profiler, problem=f"{session.profiler} saw no operator")
    return Profile(
        tool=session.profiler,
        inferences=count,
        seconds=plain,
        operators=tuple(
            row.model_copy(update={"seconds": float(f"{row.seconds:.4g}")}) for row in rows[:_ROWS]
        ),
    )
