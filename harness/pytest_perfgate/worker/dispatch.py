"""Reads the job of a worker and hands it to the module that does it."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import signal
import sys
from typing import NoReturn

from pytest_perfgate.machine.cache_folders import cache_of_job
from pytest_perfgate.machine.pipes import PipeClosed, PipeReader, write_whole
from pytest_perfgate.records.build_messages import BuildJob
from pytest_perfgate.records.input_messages import DataKeysJob, FilesRead
from pytest_perfgate.worker.arm_messages import ARM_MESSAGES
from pytest_perfgate.worker.failures import failure
from pytest_perfgate.worker.protocol import (
    JOBS,
    MESSAGES,
    PLANS,
    ArmJob,
    CompareJob,
    Failed,
    GrowthJob,
    LaunchJob,
    LaunchPlan,
    Message,
    ParityJob,
    PrepareJob,
    ProfileJob,
    SoakJob,
    Work,
)

_MODULES = {
    PrepareJob: ("prepare", "prepare"),
    BuildJob: ("build", "build_links"),
    CompareJob: ("compare", "compare"),
    ParityJob: ("parity", "parity"),
    GrowthJob: ("memory_growth", "growth"),
    ProfileJob: ("profile", "profile"),
    DataKeysJob: ("data_keys", "data_keys"),
    SoakJob: ("soak", "soak"),
}
"""Module and function of the jobs that build or open a recipe in this very process."""
_JUDGING = (CompareJob, ParityJob, GrowthJob, SoakJob)
"""Jobs whose answers verdicts rest on, and which say what they read; a `PrepareJob` keeps that with
what it stores."""


def main(job_fd: int, message_fd: int) -> NoReturn:
    """Reads the job, does it, sends what comes of it, and exits."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pytest process decides when this one ends
    # They were inherited by this program on purpose; a program that user code starts must not keep
    # the pytest process waiting for the end of the pipe.
    os.set_inheritable(job_fd, False)
    os.set_inheritable(message_fd, False)
    pipe = PipeReader(job_fd)

    def send(message: Message) -> None:
        write_whole(message_fd, MESSAGES.encode(message))

    def plan() -> LaunchPlan:
        try:
            return PLANS.decode(pipe.line())
        except PipeClosed:  # it was started ahead, and is not needed any more
            os._exit(0)

    job: Work | None = None
    try:
        job = JOBS.decode(pipe.line())
        # Imported here: a launch must not wait for what only a build needs.
        if isinstance(job, LaunchJob):
            from pytest_perfgate.worker.launch import launch

            _collect_garbage()
            launch(job, plan, send)
        elif isinstance(job, ArmJob):
            from pytest_perfgate.worker.launch import run_arm

            _collect_garbage()
            run_arm(job, message_fd)
        else:
            from pytest_perfgate.building.import_path import enter

            enter(job.suite)
            name, function = _MODULES[type(job)]
            module = importlib.import_module(f"pytest_perfgate.worker.{name}")
            _collect_garbage()
            if isinstance(job, _JUDGING):
                from pytest_perfgate.building.project_code import Watch

                watch = Watch(job.suite.root, cache_of_job())
                getattr(module, function)(job, send)
                send(FilesRead(watch.names()))
            else:
                getattr(module, function)(job, send)
    except Exception as error:  # noqa: BLE001 - whatever user code raises ends this recipe only
        _report(failure(error), message_fd, arm=isinstance(job, ArmJob))
    sys.stdout.flush()
    sys.stderr.flush()
    # Frameworks' threads and destructors have crashed or hung here; everything has been sent.
    os._exit(0)


def _collect_garbage() -> None:
    """From here on garbage is searched for, and not in what was imported: an import leaves none,
    and the search took a fifth of a worker's start.
    """
    gc.freeze()
    gc.enable()


def _report(failed: Failed, message_fd: int, *, arm: bool) -> None:
    line = ARM_MESSAGES.encode(failed) if arm else MESSAGES.encode(failed)
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        write_whole(message_fd, line)
