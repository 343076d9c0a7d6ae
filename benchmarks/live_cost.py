"""What the monitor costs a request, beside the same predictor without it, in turns.

Prints microseconds per request that the monitor adds, and the ratio to the predictor alone, for
requests that follow each other and for requests of which each one is sampled:
`python -m benchmarks.live_cost --help`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pytest_perfgate.live import GateRecord, Monitor
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed
from pytest_perfgate.records.recipe_record import RecipeRecord

CLASSES = tuple(f"class {index}" for index in range(80))
LIMIT = 20.0
"""Microseconds that a request may cost more."""
_WORK = 2e-3  # seconds of the predictor that the ratio is to


def main() -> int:
    """Prints a table of microseconds; 1 where the monitor costs more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each arm (default: 15)")
    parser.add_argument("--quick", action="store_true", help="5 turns, a few seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    rounds = 5 if arguments.quick else arguments.rounds
    figures = {
        "all requests, 10 rows a second": measure(_nothing, 10.0, 20_000, rounds),
        "each request sampled": measure(_nothing, 1e6, 200, rounds),
        "2 ms of work, 10 rows a second": measure(_work, 10.0, 100, rounds),
        "2 ms of work, each request sampled": measure(_work, 1e6, 100, rounds),
    }
    print(f"{'':<36}{'alone':>12}{'watched':>12}{'added':>12}{'ratio':>9}")
    for name, figure in figures.items():
        alone, watched = figure["alone_us"], figure["watched_us"]
        print(
            f"{name:<36}{alone:9.2f} µs{watched:9.2f} µs{figure['added_us']:9.2f} µs"
            f"{watched / alone:9.3f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    added = figures["all requests, 10 rows a second"]["added_us"]
    print(f"a request costs {added:.1f} µs more; limit: {LIMIT:g} µs")
    return 0 if added < LIMIT else 1


def measure(
    predictor: Callable[[Any], Any], rows: float, requests: int, rounds: int
) -> dict[str, float]:
    """Medians over turns, microseconds per request."""
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    alone, watched, added = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Monitor(_record(), folder, rows_per_second=rows) as monitor,
    ):
        monitored = monitor.wrap(predictor)
        _timed(monitored, image, requests)
        for _ in range(rounds):
            alone.append(_timed(predictor, image, requests))
            watched.append(_timed(monitored, image, requests))
            added.append(watched[-1] - alone[-1])
    return {
        "alone_us": statistics.median(alone),
        "watched_us": statistics.median(watched),
        "added_us": statistics.median(added),
    }


def _timed(call: Callable[[Any], Any], image: Any, requests: int) -> float:
    start = time.perf_counter()
    for _ in range(requests):
        call(image)
    return (time.perf_counter() - start) / requests * 1e6


_SCORES = np.linspace(0, 1, len(CLASSES), dtype=np.float32)


def _nothing(_: Any) -> Any:
    return _SCORES


def _work(_: Any) -> Any:
    end = time.perf_counter() + _WORK
    while time.perf_counter() < end:
        pass
    return _SCORES


def _record() -> GateRecord:
    none = np.zeros(0)
    matches = Matches(
        thresholds=(0.5,),
        categories=CLASSES,
        image=Packed.of(none.astype(np.int32)),
        category=Packed.of(none.astype(np.int16)),
        score=Packed.of(none.astype(np.float32)),
        hits=Packed.of(none.astype(np.uint16)),
        ignored=Packed.of(none.astype(np.uint16)),
        truth=Packed.of(np.zeros((1, len(CLASSES)), np.int32)),
    )
    accuracy = Accuracy(values={}, images=1, data_digest="", predictions_digest="", matches=matches)
    return GateRecord(
        "benchmark", RecipeRecord(name="nothing", reference="nothing", accuracy=accuracy)
    )


if __name__ == "__main__":
    sys.exit(main())
