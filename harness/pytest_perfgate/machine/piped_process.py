"""A child process that is sent lines on one pipe and sends lines on another."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_perfgate.machine.pipes import PipeReader, write_whole

_FAREWELL = 5.0  # seconds for a keeper to end what its child has started


class PipedProcess:
    """One exec'd process in a process group of its own, whose command begins with
    `parent_death.fork_under_keeper`.

    Args:
        command: the command line for the descriptors that it reads from and writes to.
        folder: its working directory.
        env: all its environment variables.
        log: the file that takes whatever it prints.

    Attributes:
        messages: the lines that it sends.
    """

    def __init__(
        self,
        command: Callable[[int, int], list[str]],
        folder: Path,
        env: Mapping[str, str],
        log: Path,
    ) -> None:
        self._write_fd = -1
        their_read, our_write = os.pipe()
        our_read, their_write = os.pipe()
        try:
            self.process = _start(
                command(their_read, their_write), folder, env, log, (their_read, their_write)
            )
        except BaseException:
            os.close(our_write)
            os.close(our_read)
            raise
        finally:
            os.close(their_read)
            os.close(their_write)
        self._write_fd = our_write
        self.messages = PipeReader(our_read)

    def send(self, line: bytes) -> None:
        """Sends a line. A process that dies before it has read it is noticed when its messages
        end.
        """
        with contextlib.suppress(BrokenPipeError):
            write_whole(self._write_fd, line)

    def hang_up(self) -> None:
        """Closes the pipe to the process: it is sent no more."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def kill(self) -> None:
        """Ends the process and everything that it started."""
        if self.process.poll() is None:
            self.process.terminate()  # its keeper, which kills the others first
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_FAREWELL)
        # A keeper that cannot answer (it is stopped itself): at least its group. It has not been
        # waited for, so its id is still its own.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.hang_up()
        self.messages.close()


def _start(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    log: Path,
    descriptors: tuple[int, int],
) -> subprocess.Popen[bytes]:
    """Starts a program that has these descriptors under the same numbers."""
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors,
            # A group of its own: Ctrl-C reaches the pytest process alone, and everything that the
            # child starts is killed with it.
            start_new_session=True,
        )
