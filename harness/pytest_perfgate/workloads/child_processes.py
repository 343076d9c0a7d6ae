"""Child processes of an arm: forked before it opens anything, asked and heard over pipes.

Between two requests a child waits on its pipe. It ends with its parent, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any

from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.machine.parent_death import die_with

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""What a child does with a request."""


class Forks:
    """Some children, each named for people.

    Args:
        begins: makes each child's `Answer`, in the child; what the first request of all gives.
        silence: seconds without an answer after which a child counts as hung; twice as many before
            its first.
    """

    def __init__(
        self,
        names: Sequence[str],
        begins: Sequence[Callable[[], tuple[dict[str, Any], Answer]]],
        silence: float,
    ) -> None:
        self._names = names
        self._silence = silence
        self._asks: list[int] = []
        self._answers: list[int] = []
        self.pids: list[int] = []
        for begin in begins:
            self._fork(begin)

    def first(self) -> list[dict[str, Any]]:
        """What every child says when it is ready; raises as `ask` does."""
        return self._hear(range(len(self.pids)), 2 * self._silence)

    def close(self) -> None:
        """Ends the children."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        for fd in (*self._asks, *self._answers):
            os.close(fd)

    def ask(self, numbers: Collection[int], request: dict[str, Any]) -> list[dict[str, Any]]:
        """Asks all of these children at once; gives their answers in the order of their numbers.

        Raises:
            RuntimeFault: one ended, failed, or did not answer in time.
        """
        for number in sorted(numbers):
            with contextlib.suppress(BrokenPipeError):  # it has ended, which is heard
                os.write(self._asks[number], json.dumps(request).encode() + b"\n")
        return self._hear(numbers, self._silence)

    def _hear(self, numbers: Collection[int], silence: float) -> list[dict[str, Any]]:
        texts = dict.fromkeys(sorted(numbers), b"")
        waiting = set(texts)
        deadline = time.monotonic() + silence
        while waiting:
            fds = {self._answers[number]: number for number in waiting}
            ready, _, _ = select.select([*fds], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                late = ", ".join(self._names[each] for each in sorted(waiting))
                raise RuntimeFault(
                    f"{late}: no answer for {silence:.0f} s",
                    next_step="find what hangs, or give it longer: --perf-timeout SECONDS",
                )
            for number in (fds[fd] for fd in ready):
                chunk = os.read(self._answers[number], 1 << 16)
                if not chunk:
                    raise RuntimeFault(
                        f"{self._names[number]} died: {self._end(number)}",
                        next_step="the last words show where",
                    )
                texts[number] += chunk
                if chunk.endswith(b"\n"):
                    waiting.remove(number)
                    self._refuse_failed(number, texts[number])
        return [json.loads(text) for text in texts.values()]

    def _refuse_failed(self, number: int, text: bytes) -> None:
        """At once: others may be waiting for the one that failed."""
        answer = json.loads(text)
        if "failed" in answer:
            raise RuntimeFault(
                f"{self._names[number]}: {answer['failed']}", next_step=answer["next_step"]
            )

    def _end(self, number: int) -> str:
        _, status = os.waitpid(self.pids[number], 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"

    def _fork(self, begin: Callable[[], tuple[dict[str, Any], Answer]]) -> None:
        ask_read, ask_write = os.pipe()
        answer_read, answer_write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                die_with(parent)
                # Else a child would hold the ends by which its elders are heard.
                for fd in (ask_write, answer_read, *self._asks, *self._answers):
                    os.close(fd)
                _serve(begin, ask_read, answer_write)
                status = 0
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(status)
        os.close(ask_read)
        os.close(answer_write)
        self.pids.append(pid)
        self._asks.append(ask_write)
        self._answers.append(answer_read)


def _serve(begin: Callable[[], tuple[dict[str, Any], Answer]], asks: int, answers: int) -> None:
    """A child's life: its first answer, and one for each request, until its parent hangs up."""

    def say(message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(answers, data) :]

    try:
        first, answer = begin()
        say(first)
        with os.fdopen(asks, "rb") as requests:
            for line in requests:
                say(answer(json.loads(line)))
    except PerfgateError as error:
        place = f"{error.where}: " if error.where else ""
        valid = f" (valid: {error.valid})" if error.valid else ""
        say({"failed": f"{place}{error.problem}{valid}", "next_step": error.next_step})
    except Exception as error:  # noqa: BLE001 - whatever a child raises is its parent's to tell
        traceback.print_exc()
        say(
            {
                "failed": f"it raised {type(error).__name__}: {error}",
                "next_step": "the last words show where",
            }
        )
