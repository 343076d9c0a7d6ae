"""Latency samples for pytest-benchmark: its table, `--benchmark-json` and `--benchmark-save`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pytest_perfgate.records.session import SessionRecord


def export(config: Any, session: SessionRecord) -> None:
    """Adds one entry per measured recipe to pytest-benchmark's session, where there is one.

    Nothing is added when that plugin is disabled, or under an xdist worker.
    """
    target = getattr(config, "_benchmarksession", None)
    if target is None or target.disabled or hasattr(config, "workerinput"):
        return
    from pytest_benchmark.stats import Metadata

    for suite in session.suites:
        for record in suite.recipes:
            samples = [seconds for launch in record.launches for seconds in launch.latency]
            if not samples:
                continue
            name = f"{suite.name}[{record.name}]"
            verdicts = {
                verdict.metric: verdict.status.value
                for verdict in suite.verdicts
                if verdict.recipe == record.name
            }
            entry: Any = Metadata(  # type: ignore[no-untyped-call] # the library ships no types
                SimpleNamespace(
                    name=name,
                    fullname=f"{suite.folder}/recipes.toml::{name}",
                    group=f"perfgate: {suite.name}, latency per image",
                    param=record.name,
                    params={"recipe": record.name},
                    extra_info={
                        "reference": record.reference,
                        "launches": len(record.launches),
                        "metrics": {
                            summary.metric: summary.value
                            for summary in suite.summaries.get(record.name, ())
                        },
                        "verdicts": verdicts,
                    },
                    cprofile_stats=None,
                    has_error=False,
                ),
                iterations=1,
                options={
                    "disable_gc": False,
                    "timer": "perf_counter",
                    "min_rounds": 1,
                    "max_time": 0.0,
                    "min_time": 0.0,
                    "warmup": True,
                },
            )
            for seconds in samples:
                entry.update(seconds)
            target.benchmarks.append(entry)
