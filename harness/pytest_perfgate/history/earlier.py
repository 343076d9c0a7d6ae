"""The sessions that a history holds, as `--perf-affected` asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pytest_perfgate.history.shared import HistoryPlace
from pytest_perfgate.records.earlier import EarlierSuite, Lookup
from pytest_perfgate.records.inputs import RecipeInputs, SuiteInputs, Unaffected
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.session.stored_sessions import StoredSessions

_ROWS = """
    SELECT session, strftime(started, '%Y-%m-%dT%H:%M:%S+00:00'), commit, suite, machine, recipe,
        reference, metric, status, failure, inputs
    FROM earlier_rows
    WHERE (commit = ? OR session = ?) AND complete AND NOT dirty AND commit <> ''
        AND suite IS NOT NULL AND recipe IS NOT NULL
    ORDER BY started DESC, session, machine, suite
"""


class StoredHistory:
    """A history; one in a store is fetched once."""

    def __init__(self, place: HistoryPlace) -> None:
        self._place = place
        self._is_fetched = False

    def __call__(self, text: str) -> Iterator[EarlierSuite]:
        """The suites of sessions of a commit, or of the session of that name. A history that cannot
        be read measured nothing.
        """
        try:
            yield from self._suites(text)
        except Exception:  # noqa: BLE001 - whatever befalls the store: then the recipe is measured
            return

    def _suites(self, text: str) -> list[EarlierSuite]:
        from pytest_perfgate.history.store import History

        if not self._is_fetched:
            self._is_fetched = True
            self._place.exchange()
        if not self._place.folder.is_dir():
            return []
        with History(self._place.folder) as store:
            if not store.view("earlier_rows"):
                return []
            rows = store.query(_ROWS, [text, text]).fetchall()
        suites: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        for row in rows:
            suites.setdefault(row[:5], []).append(row[5:])
        return [suite for head, own in suites.items() if (suite := _suite(head, own)) is not None]


def _suite(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> EarlierSuite | None:
    """One suite of a session from its rows; None where they do not say what it rests on."""
    session, started, commit, name, _ = head
    around: SuiteInputs | None = None
    recipes: dict[str, RecipeInputs] = {}
    references: dict[str, str] = {}
    statuses: dict[tuple[str, str], Status] = {}
    unaffected: dict[str, Unaffected] = {}
    try:
        for recipe, reference, metric, status, failure, text in rows:
            if metric and status:
                statuses[recipe, metric] = Status(status)
            if not text or failure:
                continue
            inputs = json.loads(text)
            if "unaffected" in inputs:
                unaffected[recipe] = Unaffected.model_validate(inputs["unaffected"])
                continue
            around = SuiteInputs.model_validate(inputs["suite"])
            recipes[recipe] = RecipeInputs.model_validate(inputs["recipe"])
            references[recipe] = reference
    except (ValueError, KeyError, TypeError):  # of a newer program
        return None
    if around is None and not unaffected:
        return None
    return EarlierSuite(
        session, started, commit, name, around, recipes, references, statuses, unaffected
    )


def finder(settings: Settings) -> Lookup:
    """Where a session looks for what earlier ones measured: its folder of reports, then the
    history.
    """
    places: list[Lookup] = [StoredSessions(settings.reports)]
    if settings.history is not None:
        place = HistoryPlace(settings.history, settings.history_url, settings.cache)
        places.append(StoredHistory(place))

    def find(text: str) -> Iterator[EarlierSuite]:
        for stored in places:
            yield from stored(text)

    return find
