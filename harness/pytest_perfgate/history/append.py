"""The end of a session: its record goes into the history, and nothing of that turns it red."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfgate.errors import MissingPackage, PerfgateError
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import Settings


@dataclass(frozen=True)
class Appended:
    """What the terminal says of it: lines, and warnings."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def appended(record: SessionRecord, settings: Settings) -> Appended:
    """Adds a session to the history, where one is asked for; whatever fails is a warning."""
    if settings.history is None:
        return Appended()
    from pytest_perfgate.history.shared import HistoryPlace
    from pytest_perfgate.history.store import History
    from pytest_perfgate.suite.metrics import metrics_of_session

    try:
        with History(settings.history) as store:
            for part in record.by_machine():  # a series of a target is one of its machine
                store.append(part, metrics_of_session(part))
        HistoryPlace(settings.history, settings.history_url, settings.cache).exchange()
    except MissingPackage as error:
        return Appended((f"history: not kept, duckdb is not installed ({error.next_step})",))
    except PerfgateError as error:
        return Appended(warnings=(f"warning: {error}",))
    except Exception as error:  # noqa: BLE001 - verdicts stand, whatever befalls the store
        kind = type(error).__name__
        return Appended(warnings=(f"warning: the history was not written: {kind}: {error}",))
    return Appended(("history: pytest-perfgate report --history shows the nights",))
