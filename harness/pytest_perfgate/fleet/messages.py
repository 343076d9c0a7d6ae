"""What crosses between the pytest process and the driver of the engine, and to a node."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from pytest_perfgate.machine.pipes import Vocabulary


# From the pytest process to the driver.
@dataclass(frozen=True)
class Opening:
    """The first line: which engine is started or joined.

    Attributes:
        address: as of `--perf-fleet`.
        cores: that an engine on this host hands out.
        folder: for the files of an engine on this host.
    """

    address: str
    cores: int
    folder: Path


@dataclass(frozen=True)
class JobOrder:
    """One job, to be run by a node.

    Attributes:
        number: unlike that of any other job of the session.
        name: what it is for, shown to people.
        line: the job as a line of `worker.protocol`.
        root: the project's root.
        env: environment variables set beside those of the node.
        silence: seconds without a message after which its worker counts as hung.
        python: the interpreter; "" for the node's own.
        cores, gpu: what it needs of a node.
        logs: the folder of its worker's log.
        token: what the file `TOKEN` beside the logs holds, where a node sees the session's cache.
        files: files of the suite with their digests, as the session sees them.
    """

    number: int
    name: str
    line: str
    root: Path
    env: dict[str, str]
    silence: float
    python: str
    cores: int
    gpu: bool
    logs: Path
    token: str
    files: dict[str, str] = field(default_factory=dict)


TOKEN = "token"  # noqa: S105 - the name of a file, no secret
"""Beside the logs: a file that a node can read where it shares the session's cache."""


# From the driver, and from a node through it.
@dataclass(frozen=True)
class Opened:
    """The engine is there."""


@dataclass(frozen=True)
class Heard:
    """A message of a job's worker, as a line of `worker.protocol`, and the worker's host."""

    number: int
    host: str
    line: str


@dataclass(frozen=True)
class Finished:
    """The end of a job; the fields are those of `worker_pool.Ended`."""

    number: int
    problem: str = ""
    last_words: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Note:
    """What people should know of the engine."""

    text: str


@dataclass(frozen=True)
class Broken:
    """The engine cannot be used, or not any more."""

    problem: str
    next_step: str = ""


Order = Opening | JobOrder
Report = Opened | Heard | Finished | Note | Broken

ORDERS = Vocabulary[Order](get_args(Order))
REPORTS = Vocabulary[Report](get_args(Report))


def driver_command(read: int, write: int) -> list[str]:
    """The command line of a driver of this process."""
    words = [str(read), str(write), str(os.getpid())]
    return [sys.executable, "-P", "-m", "pytest_perfgate.fleet", *words]
