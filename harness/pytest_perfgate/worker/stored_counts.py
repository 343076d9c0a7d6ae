"""Counts of an inference, kept in the store by themselves: a budget on allocations, or a counter
that the kernel offers from now on, evaluates nothing anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pytest_perfgate.building.artifact_cache import ArtifactStore, Stored
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.records.counts import Counts
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.worker.counting import count

_FILE = "counts.json"


@dataclass(frozen=True)
class Place:
    """Where something is kept in a store; `about` says what it is, for people."""

    store: ArtifactStore
    key: str
    watch: Watch
    about: str


def stored_counts(
    place: Place, open_session: Callable[[], InferenceSession], data: SuiteData, *, heap: bool
) -> Counts:
    """What is counted of an inference of the first validation image.

    Args:
        place: where the counts are kept.
        open_session: opens the evaluated artifact.
        data: of the suite.
        heap: whether allocations are counted.
    """
    store, watch = place.store, place.watch
    with store.lock(place.key):
        entry = store.find(place.key, watch)
        if entry is not None and entry.path is not None:
            return Counts.model_validate_json(entry.path.read_bytes())
        start = time.perf_counter()
        counts = count(open_session, data.picture(), heap=heap)
        with store.scratch() as folder:
            (folder / _FILE).write_text(counts.model_dump_json(), encoding="utf-8")
            stored = Stored(
                kind="counts",
                file=_FILE,
                effect={},
                structures=(),
                seconds=time.perf_counter() - start,
                files=watch.files(),
            )
            store.add(place.key, folder, stored, about=place.about)
    return counts
