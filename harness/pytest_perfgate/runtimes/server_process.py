"""A server that a recipe starts: on cores and ports of its own, and gone with whoever started it.

It belongs to the worker: the worker's keeper ends everything below it, however the worker ends
(`pytest_perfgate.machine.parent_death`). What is here ends it in time and in order.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO
from urllib.parse import urlsplit

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine.cores import cores_of_session, usable_cores
from pytest_perfgate.machine.process_sessions import held_by_session, peak_of_session
from pytest_perfgate.machine.processes import obituary

_PORT = re.compile(r"\{(port\w*)\}")
_LOOKS = 0.05  # seconds between two looks whether it is ready
_LOOK_FOR = 1.0  # seconds for a connection to what may listen already
_POLITE = 3.0  # seconds from SIGTERM to SIGKILL
_WORDS = 2_000  # characters of its log that are quoted
_READ = 1 << 20  # bytes of its log that are read for them
_LINE_END = re.compile(r"[\r\n]")


class ServerProcess:
    """A server of this process.

    Args:
        command: the program and its arguments, with places as `fill` knows them.
        environment: variables that it gets besides.
        places: what stands for `{artifact}` and the like.
        hide: its words without credentials.

    Attributes:
        cores: those of the server; the others of this process are its own from now on.
        apart: whether the two have no core in common.
        ports: by the names of their places.

    Raises:
        RuntimeFault: there is no such program, or a place is unknown.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        places: Mapping[str, str],
        hide: Callable[[str], str] = str,
    ) -> None:
        self._hide = hide
        texts = [*command, *environment.values()]
        names = dict.fromkeys(name for text in texts for name in _PORT.findall(text))
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._before = usable_cores()
        self.cores, ours = split_cores(self._before)
        known = {**places, **{name: str(port) for name, port in self.ports.items()}}
        known["cores"] = ",".join(map(str, self.cores))
        self._command = [fill(part, known, "runtime.start") for part in command]
        more = {
            name: fill(text, known, "runtime.environment") for name, text in environment.items()
        }
        # It has no name: nothing is left of it, however this process ends.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self.apart = not set(self.cores) & set(ours)
        self.started = time.perf_counter()
        try:
            with _on(self.cores):  # inherited: no thread of it ever runs elsewhere
                self._process = subprocess.Popen(
                    self._command,
                    env=os.environ | more,
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self._log.close()
            raise RuntimeFault(
                f"the server cannot be started: {self._command[0]}: {error.strerror}",
                where="runtime.start",
                next_step=f"which {self._command[0]}",
            ) from error
        _pin(ours)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until `ready` is true.

        Raises:
            RuntimeFault: it ended before, or was not ready in time; with its last words.
        """
        deadline = time.monotonic() + seconds
        while True:
            is_ready = ready()
            # Behind the answer: where this server has ended, another one gave it.
            self.refuse_ended("before it was ready")
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise RuntimeFault(
                    f"the server was not ready after {seconds:.3g} s{self.last_words()}",
                    where="runtime.start",
                    next_step="raise runtime.start_timeout, or look at runtime.model and the "
                    "ports that it listens on: {port}",
                )
            time.sleep(_LOOKS)

    def refuse_ended(self, when: str) -> None:
        """Check that it still runs: whatever answers at its address otherwise is another server.

        Raises:
            RuntimeFault: it ended `when`; with its last words.
        """
        code = self._process.poll()
        if code is None:
            return
        how, next_step = obituary(code)
        raise RuntimeFault(
            f"the server ended {when}: {how}{self.last_words()}",
            where="runtime.start",
            next_step=next_step or f"run it by itself: {' '.join(self._command)}",
        )

    def refuse_strays(self) -> None:
        """Check that its threads keep to its cores, apart from those of the requests.

        Raises:
            RuntimeFault: some may run on the others.
        """
        strays = cores_of_session(self._process.pid) & set(usable_cores())
        if not (self.apart and strays):
            return
        ours, own = (", ".join(map(str, sorted(one))) for one in (strays, self.cores))
        raise RuntimeFault(
            f"threads of the server may run on core {ours}, which sends the requests, so that one "
            f"would be timed with the other; it was started on core {own}",
            where="runtime.start",
            valid="a server that keeps to the cores that it was started on",
            next_step="tell it how many threads to start: ONNX Runtime by itself puts one on each "
            "core of the machine (intra_op_num_threads)",
        )

    def peak_memory(self) -> int | None:
        """The sum of its processes' peaks, in bytes; None: unknown."""
        return peak_of_session(self._process.pid)

    def held_memory(self) -> int | None:
        """What its processes hold now, in bytes; None: unknown."""
        return held_by_session(self._process.pid)

    def last_words(self) -> str:
        """The end of its log, for a message; "" where it wrote nothing."""
        self._log.seek(0, os.SEEK_END)
        size = self._log.tell()
        self._log.seek(max(0, size - _READ))
        text = self._log.read().decode("utf-8", "replace")
        if size > _READ:
            # The rest of a credential would not be known as one; no credential has two lines.
            text = "".join(_LINE_END.split(text, maxsplit=1)[1:])
        text = self._hide(text).strip()[-_WORDS:]
        # The offset is shared with the server, which goes on writing at the end.
        self._log.seek(0, os.SEEK_END)
        return f"; its last words: {text}" if text else ""

    def stop(self) -> None:
        """Ends it and all of its group, and takes its cores back."""
        for number, seconds in ((signal.SIGTERM, _POLITE), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self._log.close()
        _pin(self._before)


def fill(text: str, places: Mapping[str, str], where: str) -> str:
    """`text` with a value for each place: `--port={port}` is `--port=40123`. `{{` is a brace.

    Raises:
        RuntimeFault: a place is unknown.
    """
    try:
        return text.format_map(dict(places))
    except (KeyError, ValueError, IndexError) as error:
        raise RuntimeFault(
            f"{text!r} has an unknown place: {error}",
            where=where,
            valid=", ".join(f"{{{name}}}" for name in sorted({*places, "port", "port_NAME"})),
        ) from error


def refuse_taken(url: str) -> None:
    """Check that no server takes connections at an address yet.

    Raises:
        RuntimeFault: one does, and would be measured in place of the one to be started.
    """
    parts = urlsplit(url)
    place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    with contextlib.suppress(OSError), socket.create_connection(place, timeout=_LOOK_FOR):
        raise RuntimeFault(
            f"another server listens on {parts.netloc} already",
            where="runtime.start",
            valid="a port of its own for each server: put {port} into start, and leave url out",
            next_step=f"ss -ltnp 'sport = :{place[1]}'",
        )


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on, no two alike."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def split_cores(cores: Sequence[int]) -> tuple[list[int], list[int]]:
    """Cores of the server, and those of the requests to it: the last one, where there are two."""
    return (list(cores[:-1]), list(cores[-1:])) if len(cores) > 1 else (list(cores), list(cores))


def _pin(cores: Sequence[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def _on(cores: Sequence[int]) -> Iterator[None]:
    before = usable_cores()
    _pin(cores)
    try:
        yield
    finally:
        _pin(before)
