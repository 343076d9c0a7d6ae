"""A suite measured on a host of ssh: files copied, orders sent, the record received."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import digest_of
from pytest_perfgate.machine.held_folders import held_folder
from pytest_perfgate.machine.pipes import PipeReader, write_whole
from pytest_perfgate.machine.processes import last_words
from pytest_perfgate.suite.targets_file import FILE, Target
from pytest_perfgate.targets import copies, launcher
from pytest_perfgate.targets.messages import (
    ANSWERS,
    BEAT,
    ORDERS,
    Answer,
    Beat,
    DeviceJob,
    Measured,
    Shown,
    There,
    Unmeasured,
)
from pytest_perfgate.units import Unit
from pytest_perfgate.units import show as show_value

_CONNECT = 10  # seconds for the host to take a connection
_OPTIONS = (
    "BatchMode=yes",  # a question would wait for ever
    "StrictHostKeyChecking=yes",  # whatever the user's settings say
    f"ConnectTimeout={_CONNECT}",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=6",
    "ControlMaster=no",  # the end of this process must be the end of its connection
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",  # whoever changes the project would act with this user's keys
    "ForwardX11=no",
    "RemoteCommand=none",  # it would stand in for ours
    "PermitLocalCommand=no",
    "RequestTTY=no",
)
_ANSWERS_IN = 120.0  # seconds without a byte, sent or received, after which a launcher hangs
_WORDS_EVERY = 10.0  # seconds between two words of progress while one file is sent
_FAREWELL = 5.0
_CLOCKS = 60.0  # seconds that two clocks may differ without a word
_UNREACHED = 255  # the exit code of ssh for what is its own failure
_AWAY = re.compile(
    r"Connection (?:refused|timed out)|Operation timed out|No route to host|Network is unreachable"
    r"|Could not resolve hostname|Connection timed out during banner exchange"
)
"""What ssh says of a host that is off or not there, and not of one that refuses us."""


class NoMachine(PerfgateError):
    """The host of a target is off, or not there."""


class _Link:
    """One connection, with the launcher at its other end."""

    def __init__(self, target: Target, log: Path) -> None:
        self._target = target
        self._log = log
        self._doing = "connecting"
        source = inspect.getsource(launcher)
        command = f"exec {shlex.quote(target.python)} -c {shlex.quote(source)}"
        options = [word for option in _OPTIONS for word in ("-o", option)]
        with log.open("wb") as words:
            try:
                self.process = subprocess.Popen(
                    ["ssh", "-T", *options, "--", target.value, command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=words,
                    env=dict(os.environ, LC_ALL="C"),  # its messages are read
                    start_new_session=True,  # Ctrl-C reaches the pytest process alone
                )
            except OSError as error:
                raise self.error(
                    f"ssh could not be started: {error.strerror}", "install OpenSSH's client"
                ) from None
        self._to: IO[bytes] = self.process.stdin  # type: ignore[assignment] # a pipe
        # A write that waits could not be given up: select tells when there is room.
        os.set_blocking(self._to.fileno(), False)
        self._from: IO[bytes] = self.process.stdout  # type: ignore[assignment] # a pipe

    def __enter__(self) -> _Link:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._to.close()  # the device ends with it
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_FAREWELL)
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._from.close()

    def error(self, problem: str, next_step: str) -> PerfgateError:
        """An error of this target."""
        return PerfgateError(
            problem, where=f"{FILE}: targets.{self._target.name}", next_step=next_step
        )

    def lost(self) -> PerfgateError:
        """The connection has ended, which is no answer: why, and what is lost with it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_FAREWELL)
        code, words = self.process.poll(), last_words(self._log)
        last = next(reversed(words.splitlines()), "")
        host = self._target.value
        if self._doing == "connecting" and code == _UNREACHED:
            step = f"ssh -o BatchMode=yes {shlex.quote(host)} true; it must ask nothing"
            where = f"{FILE}: targets.{self._target.name}"
            kind = NoMachine if _AWAY.search(words) else PerfgateError
            return kind(f"{host} could not be reached: {last}", where=where, next_step=step)
        if self._doing == "connecting" and code in {126, 127}:
            return self.error(
                f"{host} has no {self._target.python}: {last}",
                f"name its interpreter in {FILE}: [targets.{self._target.name}] python",
            )
        return self.error(
            f"the link to {host} was lost while it was {self._doing}: nothing that was measured "
            f"there is known (ssh ended with {code}{f': {last}' if last else ''})",
            "run the session again: what was built there is in its cache",
        )

    def silent(self, verb: str) -> PerfgateError:
        """The host does nothing, and the connection stands: a disk that hangs, mostly."""
        host, cache = self._target.value, self._target.cache
        return self.error(
            f"{host} {verb} nothing for {_ANSWERS_IN:g} s while it was {self._doing}: nothing was "
            "measured there; files that it has whole stay in its cache",
            f"look at its disk and its load: ssh {shlex.quote(host)} df -h {shlex.quote(cache)}",
        )

    def frame(self, data: bytes) -> None:
        """Sends a frame to the launcher.

        Raises:
            PerfgateError: it refuses or takes nothing, or the link is lost.
        """
        self._send(len(data).to_bytes(8, "big") + data, [self._from])

    def order(self, data: bytes) -> None:
        """Sends bytes to what the launcher has become: its answers are `hear`'s.

        Raises:
            PerfgateError: it takes nothing, or the link is lost.
        """
        self._send(data, [])

    def _send(self, data: bytes, answers: list[IO[bytes]]) -> None:
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select(answers, [self._to], [], _ANSWERS_IN)
            if readable:
                self.answer()  # of a launcher that is sent something: a refusal, or its end
            elif not writable:
                raise self.silent("took")
            else:
                try:
                    view = view[os.write(self._to.fileno(), view) :]
                except OSError:
                    # Why it has ended may lie in the other pipe.
                    while answers:
                        self.answer()
                    raise self.lost() from None

    def answer(self) -> dict[str, Any]:
        """The launcher's next frame.

        Raises:
            PerfgateError: it refuses, or the link is lost.
        """
        size = int.from_bytes(self._exactly(8), "big")
        try:
            answer: dict[str, Any] = json.loads(self._exactly(size))
        except ValueError:
            raise self.error(
                f"{self._target.value} prints text of its own before commands run",
                "let its shell's start-up files print nothing where there is no terminal",
            ) from None
        if "refused" in answer:
            raise self.error(
                f"{self._target.value} cannot measure: {answer['refused']}",
                answer["step"]
                or f"name another interpreter in {FILE}: [targets.{self._target.name}] python",
            )
        return answer

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        if size > 1 << 30:  # of a shell's greeting, not of the launcher
            return b"?"
        while len(data) < size:
            if not select.select([self._from], [], [], _ANSWERS_IN)[0]:
                raise self.silent("sent")
            part = os.read(self._from.fileno(), size - len(data))
            if not part:
                raise self.lost()
            data += part
        return bytes(data)

    def doing(self, text: str) -> None:
        """What the device is at, for whoever loses it."""
        self._doing = text

    def hear(self, show: Callable[[Shown], None]) -> Answer:
        """The last answer; beats are sent while it is waited for.

        Raises:
            PerfgateError: the link is lost.
        """
        reader = PipeReader(self._from.fileno())
        beaten = 0.0
        while True:
            if time.monotonic() - beaten >= BEAT:
                # A device that has answered takes no beats, and its answer may lie in the pipe. A
                # beat is less than PIPE_BUF: a full pipe takes all of it or nothing.
                with contextlib.suppress(OSError):
                    write_whole(self._to.fileno(), ORDERS.encode(Beat()))
                beaten = time.monotonic()
            if not select.select([reader.fd], [], [], BEAT / 2)[0]:
                continue
            lines, closed = reader.receive()
            for answer in map(ANSWERS.decode, lines):
                if not isinstance(answer, Shown):
                    return answer
                self.doing(answer.text)
                show(answer)
            if closed:
                raise self.lost()


@dataclass(frozen=True)
class Project:
    """What of a project is copied.

    Attributes:
        root: of the project.
        cache: of this session, for the log.
        without: folders that are not copied.
        named: files and folders that are, though they are hidden.
        base: the root of the project at another version of its code, None for none.
        artifacts: the folders of artifacts that this host has built, relative to that of all.
    """

    root: Path
    cache: Path
    without: tuple[Path, ...]
    named: tuple[Path, ...]
    base: Path | None = None
    artifacts: tuple[Path, ...] = ()

    def trees(self) -> dict[str, copies.Copies]:
        """What is copied: this package, the project, its base and its artifacts; no file where it
        has none.
        """
        base = self.base
        named = [path.relative_to(self.root) for path in self.named]
        at_base = [base / path for path in named] if base else []
        return {
            "package": copies.of_package(),
            "project": copies.of_project(self.root, self.without, self.named),
            "base": copies.of_project(base, (), at_base) if base else copies.Copies({}, ["."]),
            "artifacts": copies.of_artifacts(self.cache / "artifacts", self.artifacts),
        }


def reach(target: Target, log: Path) -> None:
    """Looks whether a host is there and can measure, before hours of building for it.

    Raises:
        NoMachine, PerfgateError: as `measure`.
    """
    with _Link(target, log) as link:
        link.answer()
        link.doing("looking at its Python")
        link.frame(json.dumps({"needs": copies.needs()}).encode())
        link.answer()


def measure(
    target: Target,
    project: Project,
    job: Callable[[There], DeviceJob],
    show: Callable[[Shown], None],
) -> tuple[Measured, tuple[str, ...]]:
    """Measures a suite on a host; what came back, and what people should know of that host.

    `job` gives the order for the folders there, and `show` is called with what the host is doing.

    Raises:
        NoMachine: the host is off, or not there.
        PerfgateError: it refuses, its link was lost, or the suite failed there as a whole.
    """
    show(Shown("looking at the project's files"))
    trees = project.trees()
    hello = {
        "cache": target.cache,
        # Two checkouts of one project are two: their files differ.
        "place": hashlib.sha256(f"{os.uname().nodename}:{project.root}".encode()).hexdigest()[:16],
        "version": digest_of(trees["package"].digests)[:16],
        "needs": copies.needs(),
        "folders": {name: files.folders for name, files in trees.items()},
        "programs": {name: files.programs for name, files in trees.items()},
        **{name: files.digests for name, files in trees.items()},
    }
    with held_folder(project.cache / "logs") as folder, _Link(target, folder / "ssh.log") as link:
        clock = link.answer()["clock"] - time.time()
        link.doing("comparing files")
        link.frame(json.dumps(hello).encode())
        while "missing" not in (answer := link.answer()):
            show(Shown(f"comparing files, {answer['looking']}"))
        _send_files(link, trees, answer["missing"], show)
        link.doing("completing its copies")
        while "root" not in (there := link.answer()):
            show(Shown(f"completing copies, {there['looking']}"))
        link.doing("starting")
        link.order(ORDERS.encode(job(There(**{name: Path(there[name]) for name in there}))))
        result = link.hear(show)
    if isinstance(result, Unmeasured):
        where = f"{target.value}: {result.where}" if result.where else target.value
        raise PerfgateError(result.problem, where=where, next_step=result.next_step)
    assert isinstance(result, Measured)  # noqa: S101 - the last kind of answer
    return result, _of_clock(target, clock)


def _send_files(
    link: _Link,
    trees: dict[str, copies.Copies],
    missing: list[tuple[str, str]],
    show: Callable[[Shown], None],
) -> None:
    """Sends files by their trees and names, each a part at a time.

    Raises:
        PerfgateError: as `measure`.
    """
    for count, (tree, name) in enumerate(missing):
        text = f"copying files, {count} of {len(missing)}"
        show(Shown(text))
        told, sent = time.monotonic(), 0
        size = show_value(trees[tree].size(name), Unit.BYTES)
        for part in trees[tree].parts(name):
            of_file = f"{text}: {name}, {show_value(sent, Unit.BYTES)} of {size}"
            link.doing(of_file)
            if time.monotonic() - told >= _WORDS_EVERY:
                show(Shown(of_file))
                told = time.monotonic()
            link.frame(part)
            sent += len(part)
        link.frame(b"")


def _of_clock(target: Target, seconds: float) -> tuple[str, ...]:
    """That a host's clock is wrong, which ages of baselines and its own logs show."""
    if abs(seconds) < _CLOCKS:
        return ()
    which = "ahead of" if seconds > 0 else "behind"
    return (
        f"the clock of {target.value} is {show_value(abs(seconds), Unit.SECONDS)} {which} that of "
        "this machine: ages of baselines are by it, durations are not",
    )
