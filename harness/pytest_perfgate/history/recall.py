"""What the history tells of a session before it is added: gaps, and each budget's last sessions."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_perfgate.history.last_sessions import with_last_sessions
from pytest_perfgate.history.shared import HistoryPlace
from pytest_perfgate.history.store import History
from pytest_perfgate.history.uncompared import with_gaps
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import Settings


def recalled(
    record: SessionRecord, metrics: Mapping[str, Metric], settings: Settings
) -> SessionRecord:
    """The session with what its history adds to its page. A store that cannot be read adds nothing:
    that is said where the session is added to it.
    """
    if settings.history is None:
        return record
    try:
        HistoryPlace(settings.history, settings.history_url, settings.cache).exchange()
        if not settings.history.is_dir():
            return record
        with History(settings.history) as store:
            return with_last_sessions(with_gaps(record, store), metrics, store)
    except Exception:  # noqa: BLE001 - verdicts stand, whatever befalls the store
        return record
