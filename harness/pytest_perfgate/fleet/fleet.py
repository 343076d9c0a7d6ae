"""The workplace of a session with `--perf-fleet`: the engine places jobs on nodes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import select
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from pytest_perfgate.building.file_digests import Digests
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.fleet.address import LOCAL, OPTION
from pytest_perfgate.fleet.messages import (
    ORDERS,
    REPORTS,
    TOKEN,
    Broken,
    Finished,
    Heard,
    JobOrder,
    Note,
    Opening,
    Report,
    driver_command,
)
from pytest_perfgate.machine.cpu_quota import busy_cores
from pytest_perfgate.machine.held_folders import held_folder
from pytest_perfgate.machine.piped_process import PipedProcess
from pytest_perfgate.machine.pipes import PipeClosed, PipeSilent
from pytest_perfgate.machine.processes import last_words, obituary
from pytest_perfgate.measure.worker_environment import inherited
from pytest_perfgate.measure.worker_pool import Ended, Event, Job, Pool
from pytest_perfgate.records.build_messages import BuildJob, LinksBuilt
from pytest_perfgate.records.inputs import CHANGED
from pytest_perfgate.worker.protocol import (
    JOBS,
    MESSAGES,
    Failed,
    Message,
    ParityJob,
    Prepared,
    PrepareJob,
    WorkProgress,
)

_START = 180.0  # seconds for the engine to start, on a host that is busy
_FAREWELL = 10.0  # seconds for the engine to end by itself
_POLL = 0.5  # seconds between looks at a driver that says nothing
_SOCKETS = Path("/tmp")  # noqa: S108 - the path of a socket has 107 bytes, and Ray adds 64


class Fleet:
    """Hands jobs to Ray, by a driver that lives until `rest`.

    Args:
        address: as of `--perf-fleet`, checked.

    Attributes:
        notes: nodes that were not used, and jobs that were started again.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._driver: PipedProcess | None = None
        self._log = Path()
        self._open = contextlib.ExitStack()
        self._count = 0
        self.notes: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether the engine is one of this host alone."""
        return self._address == LOCAL

    def runner(self, size: int, logs: Path) -> FleetRunner:
        """What hands jobs to the engine; `size` is of this host, and the engine has its own."""
        return FleetRunner(self, size, logs)

    def rest(self) -> None:
        """Ends the engine of this host, or leaves the cluster: nothing of it is at work while
        something is measured.
        """
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.hang_up()
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.process.wait(_FAREWELL)
            driver.kill()
        self._open.close()

    def number(self) -> int:
        """Of the next job."""
        self._count += 1
        return self._count

    def note(self, text: str) -> None:
        """Keeps what people should know."""
        if text not in self.notes:
            self.notes += (text,)

    def driver(self) -> PipedProcess:
        """The driver, started where there is none.

        Raises:
            PerfgateError: the engine could not be started or joined.
        """
        if self._driver is None:
            folder = self._open.enter_context(held_folder(_own_folder()))
            self._log = folder / "driver.log"
            self._driver = PipedProcess(driver_command, folder, inherited(), self._log)
            opening = Opening(self._address, busy_cores(), folder)
            self._driver.send(ORDERS.encode(opening))
            try:
                report = REPORTS.decode(self._driver.messages.line(_START))
            except (PipeClosed, PipeSilent):
                raise self.ended() from None
            if isinstance(report, Broken):
                raise self.broken(report)
        return self._driver

    def broken(self, report: Broken) -> PerfgateError:
        """Why the engine cannot be used, as an error of the session."""
        return self._error(report.problem, report.next_step)

    def ended(self) -> PerfgateError:
        """The error of a driver that ended, or said nothing."""
        words, code = "", None
        if self._driver is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._driver.process.wait(_POLL)
            words = next(reversed(last_words(self._log).splitlines()), "")
        problem = obituary(code)[0] if code is not None else f"it sent nothing for {_START:.0f} s"
        text = f"the driver of Ray was lost: {problem}"
        return self._error(text + (f" ({words})" if words else ""), "run the session again")

    def _error(self, problem: str, next_step: str) -> PerfgateError:
        return PerfgateError(
            problem,
            where=f"{OPTION} {self._address}",
            next_step=f"{next_step}; or build on this host: leave out {OPTION}",
        )


class FleetRunner:
    """Hands jobs to the engine of a fleet. A single job runs without an engine on this host: there
    is nothing to run beside it.
    """

    def __init__(self, fleet: Fleet, size: int, logs: Path) -> None:
        self._fleet = fleet
        self._size = size
        self._logs = logs
        self._token = secrets.token_hex(16)

    def __enter__(self) -> FleetRunner:
        self._logs.mkdir(parents=True, exist_ok=True)
        (self._logs / TOKEN).write_text(self._token, encoding="ascii")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:  # jobs are left: they end with the engine
            self._fleet.rest()

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Every message of every job, and one `Ended` for each.

        Raises:
            PerfgateError: the engine could not be started, or was lost.
        """
        jobs = list(jobs)
        if not jobs:
            return
        if self._fleet.is_local and len(jobs) == 1:
            with Pool(self._size, self._logs) as pool:
                yield from pool.run(jobs)
            return
        yield from self._run(jobs)

    def _run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        yield jobs[0], WorkProgress(0, 0, "starting Ray" if self._fleet.is_local else "joining")
        driver = self._fleet.driver()
        waiting: dict[int, Job] = {}
        for job in jobs:
            order = self._order(job)
            waiting[order.number] = job
            driver.send(ORDERS.encode(order))
        yield jobs[0], WorkProgress(0, 0, "waiting for a node")
        while waiting:
            if not select.select([driver.messages.fd], [], [], _POLL)[0]:
                continue
            lines, closed = driver.messages.receive()
            for line in lines:
                yield from self._hear(REPORTS.decode(line), waiting)
            if closed and waiting:
                raise self._fleet.ended()

    def _order(self, job: Job) -> JobOrder:
        number = self._fleet.number()
        work = job.work
        # The data and the code that a node reads are compared when its artifact arrives.
        file = work.suite.file if isinstance(work, PrepareJob | ParityJob | BuildJob) else None
        return JobOrder(
            number=number,
            name=job.name,
            line=JOBS.encode(work).decode().rstrip("\n"),
            root=job.root,
            env=dict(job.env),
            silence=job.silence,
            python="" if job.python == sys.executable else job.python,
            cores=job.cores,
            gpu=job.gpu,
            logs=self._logs / f"{number:04d}",
            token=self._token,
            files={str(file): hashlib.sha256(file.read_bytes()).hexdigest()} if file else {},
        )

    def _hear(self, report: Report, waiting: dict[int, Job]) -> Iterator[Event]:
        if isinstance(report, Broken):
            raise self._fleet.broken(report)
        if isinstance(report, Note):
            self._fleet.note(report.text)
        elif isinstance(report, Heard) and report.number in waiting:
            job = waiting[report.number]
            yield job, self._arrived(job, report.host, MESSAGES.decode(report.line.encode()))
        elif isinstance(report, Finished) and report.number in waiting:
            ended = Ended(report.problem, report.last_words, report.next_step)
            yield waiting.pop(report.number), ended

    def _arrived(self, job: Job, host: str, message: Message) -> Message:
        """A message as it counts here: an artifact that was made of other files is none."""
        if self._fleet.is_local:
            return message
        if isinstance(message, WorkProgress):
            return replace(message, note=f"{message.note} on {host}")
        if isinstance(message, Prepared | LinksBuilt):
            here = Digests(job.root)
            for name, digest in message.files.items():
                if digest not in {CHANGED, here.digest(name)}:
                    return Failed(
                        f"{host} built it of another {name} than this host has",
                        next_step="share the project's folder with all nodes, at the same path",
                        stage="build",
                    )
        return message


def _own_folder() -> Path:
    """The folder above those of this user's engines; no other user may write to it.

    Raises:
        PerfgateError: somebody else made it.
    """
    folder = _SOCKETS / f"perfgate-ray-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or others:
        raise PerfgateError(
            "this folder cannot hold the sockets of an engine: others can change it",
            where=str(folder),
            valid="a folder of this user, that no other user may write to",
            next_step=f"ls -ld {folder}; ask its owner to remove it",
        )
    return folder
