"""An error that ends a job, as a message."""

from __future__ import annotations

import traceback

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine.processes import is_of_the_machine, problem_of
from pytest_perfgate.worker.protocol import Failed


def failure(error: BaseException, stage: str = "") -> Failed:
    """An error as a message: a `PerfgateError` in its own words, anything else with its trace."""
    problem, next_step = problem_of(error)
    # Frames near the raise, not those of this package around it.
    explained = isinstance(error, PerfgateError) or is_of_the_machine(error)
    trace = "" if explained else traceback.format_exc(limit=-6)
    return Failed(problem, next_step, trace, stage)
