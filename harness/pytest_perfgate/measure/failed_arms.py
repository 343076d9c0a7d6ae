"""Arms that left a session, and why."""

from __future__ import annotations

from pytest_perfgate.measure.worker_pool import Ended
from pytest_perfgate.records.recipe_record import Failure
from pytest_perfgate.worker.protocol import Failed, Message


class FailedArms(dict[str, Failure]):
    """Label to why an arm failed; the first failure counts."""

    def fail(self, name: str, stage: str, event: Message) -> None:
        """Notes that an arm failed, in its own words. `stage` is where it failed, unless the
        message names that.
        """
        failed = failed_message(event)
        self.setdefault(
            name,
            Failure(
                stage=failed.stage or stage,
                problem=failed.problem,
                last_words=failed.last_words,
                next_step=failed.next_step,
            ),
        )

    def ended(self, name: str, stage: str, ended: Ended, answered: bool) -> None:
        """The end of a worker: a failure, unless it had answered."""
        if answered or name in self:
            return
        self[name] = Failure(
            stage=stage,
            problem=ended.problem or "the worker ended without an answer",
            last_words=ended.last_words,
            next_step=ended.next_step,
        )


def failed_message(message: Message) -> Failed:
    """The message, when it is a failure; any other is one of the worker, which sent it."""
    if isinstance(message, Failed):
        return message
    return Failed(f"the worker sent {type(message).__name__}, which answers no such job")
