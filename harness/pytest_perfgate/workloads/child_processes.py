"""Child processes of an arm: forked before it opens anything, asked and heard over pipes.

Between two requests a child waits on its pipe. It ends with its parent, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine.pipes import PipeClosed, PipeReader, Vocabulary, write_whole
from pytest_perfgate.machine.processes import Forked, obituary, problem_of

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class ChildFailed:
    """An error that ended a child."""

    problem: str
    next_step: str


@dataclass(frozen=True)
class Dialogue(Generic[_Request, _Answer]):
    """What is said between an arm and its children: types of requests, and of answers."""

    requests: Vocabulary[_Request]
    answers: Vocabulary[_Answer | ChildFailed]

    @classmethod
    def of(cls, requests: Sequence[type[Any]], answers: Sequence[type[Any]]) -> Any:
        """From the types alone, each a frozen dataclass."""
        return cls(Vocabulary(requests), Vocabulary([*answers, ChildFailed]))


Begin = Callable[[], tuple[_Answer, Callable[[_Request], _Answer]]]
"""Runs in a child: its first answer, and what it does with each request."""


class Forks(Generic[_Request, _Answer]):
    """Some children, each named for people.

    Args:
        names: of the children.
        begins: what each child does.
        dialogue: the types of what is said.
        silence: seconds without an answer after which a child counts as hung; twice as many before
            its first.
    """

    def __init__(
        self,
        names: Sequence[str],
        begins: Sequence[Begin[_Answer, _Request]],
        dialogue: Dialogue[_Request, _Answer],
        silence: float,
    ) -> None:
        self._names = names
        self._dialogue = dialogue
        self._silence = silence
        self._requests: list[int] = []
        self._answers: list[PipeReader] = []
        self._children: list[Forked] = []
        for begin in begins:
            self._fork(begin)

    @property
    def pids(self) -> list[int]:
        """Ids of the children."""
        return [child.pid for child in self._children]

    def first(self) -> list[_Answer]:
        """The answer of every child that is ready; raises as `ask` does."""
        return self._hear(range(len(self._children)), 2 * self._silence)

    def close(self) -> None:
        """Ends the children."""
        for child in self._children:
            child.kill()
            child.wait()
        for fd in self._requests:
            os.close(fd)
        for reader in self._answers:
            reader.close()

    def ask(self, numbers: Collection[int], request: _Request) -> list[_Answer]:
        """Asks all of these children at once; gives their answers in the order of their numbers.

        Raises:
            RuntimeFault: one ended, failed, or did not answer in time.
        """
        line = self._dialogue.requests.encode(request)
        for number in sorted(numbers):
            with contextlib.suppress(BrokenPipeError):  # it has ended: its answers tell
                write_whole(self._requests[number], line)
        return self._hear(numbers, self._silence)

    def _hear(self, numbers: Collection[int], silence: float) -> list[_Answer]:
        answers: dict[int, _Answer] = {}
        waiting = set(numbers)
        deadline = time.monotonic() + silence
        # All at once, not one after the other: one may wait for another that has failed.
        while waiting:
            fds = {self._answers[number].fd: number for number in waiting}
            ready, _, _ = select.select([*fds], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                late = ", ".join(self._names[number] for number in sorted(waiting))
                raise RuntimeFault(
                    f"{late}: no answer for {silence:.0f} s",
                    next_step="find what hangs, or give it longer: --perf-timeout SECONDS",
                )
            for number in (fds[fd] for fd in ready):
                lines, closed = self._answers[number].receive()
                for line in lines:
                    waiting.discard(number)
                    answers[number] = self._answer(number, line)
                if closed and number in waiting:
                    how, next_step = obituary(self._children[number].wait())
                    raise RuntimeFault(
                        f"{self._names[number]} died: {how}",
                        next_step=next_step or "the last words show where",
                    )
        return [answers[number] for number in sorted(answers)]

    def _answer(self, number: int, line: bytes) -> _Answer:
        answer = self._dialogue.answers.decode(line)
        if isinstance(answer, ChildFailed):
            raise RuntimeFault(
                f"{self._names[number]}: {answer.problem}", next_step=answer.next_step
            )
        return answer

    def _fork(self, begin: Begin[_Answer, _Request]) -> None:
        request_read, request_write = os.pipe()
        answer_read, answer_write = os.pipe()
        # Else a child would hold the ends by which its elders are heard.
        elders = [*self._requests, *(reader.fd for reader in self._answers)]
        child = Forked(
            lambda: self._serve(begin, request_read, answer_write),
            [request_write, answer_read, *elders],
        )
        os.close(request_read)
        os.close(answer_write)
        self._children.append(child)
        self._requests.append(request_write)
        self._answers.append(PipeReader(answer_read))

    def _serve(self, begin: Begin[_Answer, _Request], requests: int, answers: int) -> None:
        """A child's life: its first answer, and one for each request, until its parent hangs up."""
        reader = PipeReader(requests)

        def send(answer: _Answer | ChildFailed) -> None:
            write_whole(answers, self._dialogue.answers.encode(answer))

        try:
            first, do = begin()
            send(first)
            while True:
                send(do(self._dialogue.requests.decode(reader.line())))
        except PipeClosed:
            return
        except Exception as error:  # noqa: BLE001 - whatever a child raises is its parent's to tell
            traceback.print_exc()
            send(ChildFailed(*problem_of(error)))
