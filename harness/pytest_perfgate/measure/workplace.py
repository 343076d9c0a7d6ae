"""Where the jobs of a preparation run. Keys, messages and verdicts are the same at every place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pytest_perfgate.measure.worker_pool import Event, Job, Pool


class JobRunner(Protocol):
    """Runs jobs in workers. On the way out of its block, whatever the reason, every worker and
    everything it started is killed.
    """

    def __enter__(self) -> Self:
        """Makes it ready."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None:
        """Ends what still runs."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Every message of every job, and one `Ended` for each."""


class Workplace(Protocol):
    """A place where builds and evaluations run. Measuring is not its part."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how jobs ran there."""

    def runner(self, size: int, logs: Path) -> JobRunner:
        """What runs jobs, on this host at most `size` at once, with their logs in a folder."""

    def rest(self) -> None:
        """Ends whatever of it would disturb a measurement; the next runner starts it again."""


class ThisHost:
    """Processes of this host, started by this process."""

    notes: tuple[str, ...] = ()

    def runner(self, size: int, logs: Path) -> Pool:
        """A pool of worker processes."""
        return Pool(size, logs)

    def rest(self) -> None:
        """Nothing of it is left between jobs."""
