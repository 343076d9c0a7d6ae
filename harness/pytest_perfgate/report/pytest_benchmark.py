"""Latency samples for pytest-benchmark: its table, `--benchmark-json` and `--benchmark-save`."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord


def export(config: Any, session: SessionRecord) -> None:
    """Adds one entry per measured recipe to pytest-benchmark's session, where there is one.

    Nothing is added when that plugin is disabled, or under an xdist worker.
    """
    target = getattr(config, "_benchmarksession", None)
    if target is None or target.disabled or hasattr(config, "workerinput"):
        return
    for suite in session.suites:
        for record in suite.recipes:
            samples = [seconds for launch in record.launches for seconds in launch.latency]
            if samples:
                target.benchmarks.append(_entry(suite, record, samples))


_OPTIONS = {
    "disable_gc": False,
    "timer": "perf_counter",
    "min_rounds": 1,
    "max_time": 0.0,
    "min_time": 0.0,
    "warmup": True,
}


def _entry(suite: SuiteRecord, record: RecipeRecord, samples: Sequence[float]) -> Any:
    """A recipe's samples as one of pytest-benchmark's entries."""
    from pytest_benchmark.stats import Metadata

    name = f"{suite.title}[{record.name}]"
    summaries = suite.summaries.get(record.name, ())
    extra = {
        "reference": record.reference,
        "launches": len(record.launches),
        "metrics": {summary.metric: summary.value for summary in summaries},
        "verdicts": {
            verdict.metric: verdict.status.value
            for verdict in suite.verdicts
            if verdict.recipe == record.name
        },
    }
    entry: Any = Metadata(  # type: ignore[no-untyped-call] # the library ships no types
        SimpleNamespace(
            name=name,
            fullname=f"{suite.folder}/recipes.toml::{name}",
            group=f"perfgate: {suite.title}, latency per image",
            param=record.name,
            params={"recipe": record.name},
            extra_info=extra,
            cprofile_stats=None,
            has_error=False,
        ),
        iterations=1,
        options=dict(_OPTIONS),
    )
    for seconds in samples:
        entry.update(seconds)
    return entry
