"""One job on a node: an actor of Ray that runs the worker of a job, as this host would.

The worker is a process of its own: what Ray sets in its processes (threads, visible devices, import
paths) reaches no framework.
"""

from __future__ import annotations

import hashlib
import math
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import pytest_perfgate
from pytest_perfgate.building.package_versions import versions
from pytest_perfgate.fleet.messages import ORDERS, REPORTS, TOKEN, Finished, Heard, JobOrder
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.machine.processes import problem_of
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.worker.protocol import JOBS, MESSAGES

_NOBODY = 60.0  # seconds without a listener after which a job ends itself
_NEWS = 5.0  # seconds that a listener waits for news


class Facts(TypedDict):
    """What must be the same on a node as where the session is, for artifacts and scores to be."""

    version: str
    machine: str
    packages: dict[str, str]


def facts() -> Facts:
    """Those of this process and its host."""
    return Facts(
        version=pytest_perfgate.__version__, machine=this_machine().id, packages=versions()
    )


class Started(TypedDict):
    """The answer to `NodeJob.start`: the node, and why it runs no job, "" where it does."""

    node: str
    host: str
    unfit: str


class NodeJob:
    """Runs one job; the methods are called through Ray, which passes text and bytes alone."""

    def __init__(self) -> None:
        self._reports: queue.Queue[bytes] = queue.Queue()
        self._listened = time.monotonic()
        self._patience = math.inf

    def start(self, expected: Facts, line: bytes, environ: Mapping[str, str] | None) -> Started:
        """Starts a job, unless the node differs.

        Args:
            expected: what the node is compared with, before the line is read.
            line: the order, as a line of `ORDERS`.
            environ: the variables that the worker inherits; None for the node's own.
        """
        import ray

        started = Started(
            node=ray.get_runtime_context().get_node_id(), host=socket.gethostname(), unfit=""
        )
        order = None
        # First of all: another version may have orders of another form.
        started["unfit"] = difference(expected, facts())
        if not started["unfit"]:
            order = ORDERS.decode(line)
            assert isinstance(order, JobOrder)  # noqa: S101 - what the driver of this version sends
            started["unfit"] = absent(order)
        if order is not None and not started["unfit"]:
            own = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
            # On the session's own host a listener that is late was stopped (SIGSTOP), not lost.
            self._patience = math.inf if environ is not None else _NOBODY
            variables = own if environ is None else environ
            # The thread lives as long as the worker: the kernel ties the worker's end to it
            # (PR_SET_PDEATHSIG is of the thread that forks).
            threading.Thread(
                target=self._run, args=(order, started["host"], variables), daemon=True
            ).start()
        return started

    def read(self) -> list[bytes]:
        """The reports since the last call; waits for one for some seconds."""
        self._listened = time.monotonic()
        reports = []
        try:
            reports.append(self._reports.get(timeout=_NEWS))
            while True:
                reports.append(self._reports.get_nowait())
        except queue.Empty:
            self._listened = time.monotonic()
            return reports

    def _run(self, order: JobOrder, host: str, environ: Mapping[str, str]) -> None:
        ended = Ended("the worker ended without an answer")
        try:
            job = Job(
                name=order.name,
                work=JOBS.decode(order.line.encode()),
                root=order.root,
                env=order.env,
                silence=order.silence,
                python=order.python or sys.executable,
            )
            with Pool(1, order.logs, environ) as pool:
                for _, event in pool.run([job], self._end_unheard):
                    if isinstance(event, Ended):
                        ended = event
                    else:
                        message = MESSAGES.encode(event).decode().rstrip("\n")
                        self._reports.put(REPORTS.encode(Heard(order.number, host, message)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this job only
            ended = Ended(*problem_of(error))
        self._reports.put(
            REPORTS.encode(Finished(order.number, ended.problem, ended.last_words, ended.next_step))
        )

    def _end_unheard(self) -> None:
        """Ends this process, and the worker with it, when nobody has listened for long: the
        session's host is gone.
        """
        if time.monotonic() - self._listened > self._patience:
            os._exit(1)


def difference(expected: Facts, here: Facts) -> str:
    """How a node differs from the session's host, "" where artifacts and scores are the same."""
    if here["version"] != expected["version"]:
        return (
            f"it has pytest-perfgate {here['version']}, and this session is of "
            f"{expected['version']}"
        )
    names = sorted(expected["packages"].keys() | here["packages"].keys())
    for name in names:
        ours, theirs = expected["packages"].get(name, "none"), here["packages"].get(name, "none")
        if ours != theirs:
            return f"it has {name} {theirs}, and this host {ours}"
    if here["machine"] != expected["machine"]:
        return f"its fingerprint is {here['machine']}, and this host's {expected['machine']}"
    return ""


def absent(order: JobOrder) -> str:
    """What a node does not see of the session's files, "" where it sees them."""
    try:
        shared = (order.logs.parent / TOKEN).read_text(encoding="ascii") == order.token
    except OSError:
        shared = False
    if not shared:
        return f"it does not see this session's cache, at {order.logs.parent}"
    for name, digest in order.files.items():
        try:
            content = Path(name).read_bytes()
        except OSError:
            return f"it does not see {name}"
        if hashlib.sha256(content).hexdigest() != digest:
            return f"its {name} is another than this host's"
    return ""
