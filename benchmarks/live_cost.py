"""What the monitor costs a request, beside the same predictor without it, in turns.

Prints microseconds per request without and with the monitor, their ratio, and the CPU time that the
monitor takes of the thread that asks; for requests of which ten a second are sampled, and for
requests of which each one is: `python -m benchmarks.live_cost --help`.
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
_NOTHING = "no work, 10 rows a second", "no work, each request sampled"
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
        _NOTHING[0]: measure(_nothing, 10.0, 20_000, rounds),
        _NOTHING[1]: measure(_nothing, 1e6, 200, rounds),
        "2 ms of work, 10 rows a second": measure(_work, 10.0, 100, rounds),
        "2 ms of work, each request sampled": measure(_work, 1e6, 100, rounds),
    }
    print(f"{'':<36}{'alone':>12}{'watched':>12}{'ratio':>9}{'CPU added':>13}")
    for name, figure in figures.items():
        alone, watched = figure["alone_us"], figure["watched_us"]
        print(
            f"{name:<36}{alone:9.2f} µs{watched:9.2f} µs{watched / alone:9.3f}"
            f"{figure['cpu_added_us']:10.2f} µs"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    added = max(figures[name]["cpu_added_us"] for name in _NOTHING)
    print(f"a request costs {added:.1f} µs at the most; limit: {LIMIT:g} µs")
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
            seconds, cpu = _timed(predictor, image, requests)
            with_monitor = _timed(monitored, image, requests)
            alone.append(seconds)
            watched.append(with_monitor[0])
            added.append(with_monitor[1] - cpu)
    return {
        "alone_us": statistics.median(alone),
        "watched_us": statistics.median(watched),
        "cpu_added_us": statistics.median(added),
    }


def _timed(call: Callable[[Any], Any], image: Any, requests: int) -> tuple[float, float]:
    """Microseconds per request, of the clock and of this thread's CPU time."""
    start, cpu = time.perf_counter(), time.thread_time()
    for _ in range(requests):
        call(image)
    return (
        (time.perf_counter() - start) / requests * 1e6,
        (time.thread_time() - cpu) / requests * 1e6,
    )


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
