"""Starts the processes that train together with this one, and ends them: rank 0 is this process."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.errors import BuildError
from pytest_perfgate.machine.pipes import Vocabulary
from pytest_perfgate.machine.processes import last_words, obituary
from pytest_perfgate.records.recipe import StepSpec, Suite
from pytest_perfgate.steps.training_peers import Peers

_FAREWELL = 10.0  # seconds for a process whose training is finished to end by itself
_WORDS = 3.0  # seconds for the end of a process to be known after a connection to it broke


@dataclass(frozen=True)
class RankOrder:
    """What a process of a training is started with.

    Attributes:
        suite: the suite whose recipe is built.
        step: the step that trains, with its options.
        before: the artifact that it is applied to.
        cache: the folder of the artifact cache.
        checkpoints: the folder of the training's checkpoints.
        rendezvous: a file by which the processes find each other.
        rank, size: its number, and how many there are.
        fold: the split that is in folds, the rows that are trained on and those held out; None
            for all of the data.
    """

    suite: Suite
    step: StepSpec
    before: ArtifactHandle
    cache: Path
    checkpoints: Path
    rendezvous: Path
    rank: int
    size: int
    fold: tuple[str, Sequence[int], Sequence[int]] | None = None


@dataclass(frozen=True)
class Ready:
    """A process is about to meet the others."""


@dataclass(frozen=True)
class RankFailed:
    """A process could not go on, in the words of a `PerfgateError`."""

    problem: str
    where: str = ""
    valid: str = ""
    next_step: str = ""


ORDERS: Vocabulary[RankOrder] = Vocabulary([RankOrder])
ANSWERS: Vocabulary[Ready | RankFailed] = Vocabulary([Ready, RankFailed])


@contextlib.contextmanager
def started(order: RankOrder) -> Iterator[Peers]:
    """The processes of an order, which is that of rank 0: this one, and the others for as long as
    the context lasts. None of them outlives it, or this process.
    """
    # As `ArtifactStore.scratch`: what a killed process leaves there is cleared with the cache.
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=order.cache.resolve() / "artifacts"))
    ranks: list[_Rank] = []
    try:
        order = replace(order, rendezvous=folder / "rendezvous")
        ranks += [_Rank(replace(order, rank=rank), folder) for rank in range(1, order.size)]
        yield Peers(
            rank=0,
            size=order.size,
            rendezvous=order.rendezvous,
            ready=lambda: _wait_for(ranks),
            lost=lambda: _lost(ranks),
        )
        for rank in ranks:  # the model is there: what becomes of them changes nothing
            rank.ended.wait(_FAREWELL)
    finally:
        for rank in ranks:
            rank.kill()
        shutil.rmtree(folder, ignore_errors=True)


class _Rank:
    """One of the other processes, and a thread that hears what it says."""

    def __init__(self, order: RankOrder, folder: Path) -> None:
        self.rank, self.size = order.rank, order.size
        self.ready, self.ended = threading.Event(), threading.Event()
        self.error: BuildError | None = None
        self._log = folder / f"{order.rank}.log"
        with self._log.open("wb") as log:
            # No environment of its own: threads and allocator are those of this worker.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pytest_perfgate.building.rank_process"],
                cwd=order.suite.root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None  # noqa: S101 - for types: it was asked for
            self._process.stdin.write(ORDERS.encode(order))
            self._process.stdin.close()
        threading.Thread(target=self._listen, daemon=True, name=f"rank {self.rank}").start()

    def kill(self) -> None:
        """Ends the process, unless it has ended."""
        self._process.kill()
        self.ended.wait()

    def _listen(self) -> None:
        failed: RankFailed | None = None
        assert self._process.stdout is not None  # noqa: S101 - for types: it was asked for
        with self._process.stdout as lines:
            for line in lines:
                answer = ANSWERS.decode(line)
                if isinstance(answer, RankFailed):
                    failed = answer
                else:
                    self.ready.set()
        code = self._process.wait()
        if code or failed is not None:
            self.error = self._error(code, failed)
        self.ended.set()

    def _error(self, code: int, failed: RankFailed | None) -> BuildError:
        who = f"process {self.rank + 1} of the {self.size} that train together"
        if failed is not None:
            return BuildError(
                f"{who}: {failed.problem}",
                where=failed.where,
                valid=failed.valid,
                next_step=failed.next_step,
            )
        how, advice = obituary(code)
        words = last_words(self._log)
        return BuildError(
            f"{who} did not finish: {how}" + (f"; last words: {words}" if words else ""),
            next_step="run the session again: the training goes on from its last checkpoint"
            + (f"; {advice}" if advice else ""),
        )


def _wait_for(ranks: Sequence[_Rank]) -> None:
    """Until all are ready.

    Raises:
        BuildError: one of them ended before.
    """
    for rank in ranks:
        while not rank.ready.wait(0.05):
            lost = next((other.error for other in ranks if other.ended.is_set()), None)
            if lost is not None:
                raise lost


def _lost(ranks: Sequence[_Rank]) -> BuildError | None:
    """The error of the first that ended before its time. One that was killed is the cause where
    others complain of a broken connection.
    """
    until = time.monotonic() + _WORDS
    while time.monotonic() < until and not any(rank.error for rank in ranks):
        time.sleep(0.02)
    errors = [rank.error for rank in ranks if rank.error is not None]
    return next((error for error in errors if "did not finish" in error.problem), None) or next(
        iter(errors), None
    )
