"""The engine, seen from its driver: Ray is started or joined, and runs jobs as actors."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_perfgate.fleet.address import LOCAL
from pytest_perfgate.fleet.messages import (
    ORDERS,
    REPORTS,
    Broken,
    Finished,
    Heard,
    JobOrder,
    Note,
    Opening,
    Report,
)
from pytest_perfgate.fleet.node import NodeJob, Started, facts

TRIES = 3
"""How often a job is started, at the most, where the process that ran it was lost."""

_STORE = 80 << 20  # bytes of Ray's object store, the fewest that it takes: lines of text pass it
_EVERY = 5.0  # seconds between looks at the nodes that are left
_NODE = "ray.io/node-id"  # the label that Ray gives each node

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray then takes 127.0.0.1 for this host's address, and all that listens binds to it.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    # Ray would kill builds where this host's memory is nearly full; without it the kernel decides.
    "RAY_memory_monitor_refresh_ms": "0",
    # The processes of Ray themselves need long to start on a busy host.
    "RAY_worker_register_timeout_seconds": "300",
}
"""Variables of an engine on this host."""


@dataclass
class _Running:
    """A job that was handed to Ray.

    Attributes:
        actor: what runs it; None while it waits for the next try.
        node: the id of its node, "" before it has one.
        tries: how often it was started.
        answered: whether its worker has sent more than progress.
        avoid: ids of nodes on which it was lost.
    """

    order: JobOrder
    actor: Any = None
    node: str = ""
    tries: int = 0
    answered: bool = False
    avoid: set[str] = field(default_factory=set)


class Engine:
    """Runs jobs on the nodes of Ray; reports go to `send`.

    Use as a context manager: on the way out every job is killed, and an engine on this host ends.

    Raises:
        Exception: as Ray raises it, where it cannot be started or joined.
    """

    def __init__(self, opening: Opening, send: Callable[[Report], None]) -> None:
        self._local = opening.address == LOCAL
        self._send = send
        self._environ = dict(os.environ) if self._local else None
        self._facts = facts()
        self._running: dict[Any, _Running] = {}  # by the call that is waited for
        self._looked = time.monotonic()
        self._unfit: dict[str, str] = {}  # id of a node, to why it runs nothing
        if self._local:
            os.environ.update(_QUIET, RAY_AUTH_TOKEN=secrets.token_hex(32))
        import ray

        self._ray: Any = ray  # half of its functions have no types
        quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if self._local:
            ray.init(
                address="local",  # none of another session, whatever RAY_ADDRESS says
                num_cpus=opening.cores,
                num_gpus=0,  # jobs of one host share its GPUs, as its own processes do
                include_dashboard=False,
                object_store_memory=_STORE,
                _temp_dir=str(opening.folder),
                **quiet,
            )
        else:
            ray.init(address=opening.address, **quiet)
        self._actors = ray.remote(NodeJob)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running.values():
            self._kill(running)
        self._ray.shutdown()

    @property
    def busy(self) -> bool:
        """Whether jobs are waiting or running."""
        return bool(self._running)

    def nodes(self) -> dict[str, Mapping[str, float]]:
        """The resources of each node that is alive, by its id."""
        nodes: list[dict[str, Any]] = self._ray.nodes()
        return {node["NodeID"]: node["Resources"] for node in nodes if node["Alive"]}

    def add(self, order: JobOrder) -> None:
        """Hands a job to Ray, which places it where there is what it needs."""
        self._start(_Running(order))

    def step(self, seconds: float) -> None:
        """Waits for news of jobs for so long, and reports them."""
        calls = list(self._running)
        ready, _ = self._ray.wait(calls, num_returns=1, timeout=seconds)
        # Ray lets a job wait for a node that never comes: the last one that fits may be gone.
        if not ready and time.monotonic() - self._looked > _EVERY:
            self._fit()
        for call in ready:
            running = self._running.pop(call)
            try:
                answer = self._ray.get(call)
            except self._ray.exceptions.RayActorError as error:
                self._lost(running, str(error))
            except self._ray.exceptions.RayTaskError as error:
                # The first line says where, the last what: most often another version's modules.
                self._kill(running)
                problem = f"a node could not run it: {str(error).splitlines()[-1]}"
                step = "install the same version of pytest-perfgate on all nodes"
                self._send(Finished(running.order.number, problem, next_step=step))
            else:
                self._hear(running, answer)

    def _fit(self) -> dict[str, Mapping[str, float]]:
        """The resources of the nodes that can run jobs; without one `Broken` is sent."""
        nodes = self.nodes()
        fit = {
            node: has for node, has in nodes.items() if has.get("CPU") and node not in self._unfit
        }
        if not fit:
            reasons = "; ".join(self._unfit.values()) or "none of them has a CPU for jobs"
            self._send(
                Broken(
                    f"no node can run this session's jobs: {reasons}",
                    "make the nodes alike: the same packages (python -m pip freeze), kind of "
                    "machine and shared folders",
                )
            )
        self._looked = time.monotonic()
        return fit

    def _start(self, running: _Running) -> None:
        order, fit = running.order, self._fit()
        if not fit:
            return
        if order.gpu and not self._local and not any(has.get("GPU") for has in fit.values()):
            problem = "no node of the cluster has a GPU"
            step = "join a node with one: ray start --address=HEAD:6379 --num-gpus=1"
            self._send(Finished(order.number, problem, next_step=step))
            return
        avoid = self._unfit.keys() | (running.avoid if fit.keys() - running.avoid else set())
        most = max(has["CPU"] for has in fit.values())
        options: dict[str, Any] = {
            "num_cpus": max(1, min(order.cores, int(most))),
            "num_gpus": int(order.gpu and not self._local),
            "max_restarts": 0,  # a job that was lost is started anew here, and counted
        }
        if avoid:
            options["label_selector"] = {_NODE: f"!in({','.join(sorted(avoid))})"}
        running.actor, running.node = self._actors.options(**options).remote(), ""
        running.tries += 1
        line = ORDERS.encode(order)
        self._running[running.actor.start.remote(self._facts, line, self._environ)] = running

    def _hear(self, running: _Running, answer: Any) -> None:
        if isinstance(answer, dict):
            started: Started = answer  # type: ignore[assignment] # of our own actor
            running.node = started["node"]
            if started["unfit"]:
                self._refuse(running, started["node"], f"{started['host']}: {started['unfit']}")
                return
        else:
            for line in answer:
                report = REPORTS.decode(line)
                self._send(report)
                if isinstance(report, Finished):
                    self._kill(running)
                    return
                if isinstance(report, Heard):
                    running.answered |= not report.line.startswith("WorkProgress ")
        self._running[running.actor.read.remote()] = running

    def _refuse(self, running: _Running, node: str, reason: str) -> None:
        """A node that differs runs nothing; its jobs go elsewhere, which is no try of theirs."""
        self._kill(running)
        if node not in self._unfit:
            self._send(Note(f"a node of the fleet was not used: {reason}"))
        self._unfit[node] = reason
        running.tries -= 1
        self._start(running)

    def _lost(self, running: _Running, error: str) -> None:
        """The process that ran a job ended, or its node."""
        order = running.order
        self._kill(running)
        if running.answered:  # its result is there, and nothing of it is missing
            self._send(Finished(order.number))
            return
        reason = next(iter(error.splitlines()), "its process ended")
        if running.tries >= TRIES:
            self._send(
                Finished(
                    order.number,
                    f"the process that ran it was lost {TRIES} times",
                    reason,
                    "see why it is killed: ray status on the head, dmesg on the node",
                )
            )
            return
        self._send(Note(f"{order.name} was started again: the process that ran it was lost"))
        if running.node:
            running.avoid.add(running.node)
        self._start(running)

    def _kill(self, running: _Running) -> None:
        with contextlib.suppress(Exception):  # its node may be gone with it
            self._ray.kill(running.actor)


@contextlib.contextmanager
def opened(opening: Opening, send: Callable[[Report], None]) -> Iterator[Engine | None]:
    """The engine while the block runs; None, after `Broken` was sent, where there is none."""
    try:
        engine = Engine(opening, send)
    except Exception as error:  # noqa: BLE001 - Ray raises what its parts do
        first = next(iter(str(error).splitlines()), type(error).__name__)
        if opening.address == LOCAL:
            problem = f"Ray could not be started on this host: {first}"
            step = "python -m pip install --force-reinstall 'pytest-perfgate[fleet]'"
        else:
            problem = f"the cluster could not be joined: {first}"
            step = (
                "python -c 'import ray; print(ray.__version__)', which is the head's on this host "
                "too, as is Python; a cluster with a token takes it from RAY_AUTH_TOKEN_PATH"
            )
        send(Broken(problem, step))
        yield None
    else:
        with engine:
            yield engine
