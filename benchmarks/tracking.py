"""How long the evaluation of tracks takes beside TrackEval's, on the same sequences.

    python -m pip install --target /tmp/trackeval --no-deps trackeval==1.3.0
    PERFGATE_TRACKEVAL=/tmp/trackeval python -m benchmarks.tracking

TrackEval's wheel asks for `opencv-python`, which would take the place of the headless build: it
goes into a folder of its own, without what it depends on. Its metrics alone are imported.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import types
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.tracking.matching import Frame, count
from pytest_perfgate.tasks.tracking.scores import ratios_of

from benchmarks.pixels import Ratio, in_turns

FOLDER = "PERFGATE_TRACKEVAL"
SLOWER = 1.0
"""Largest ratio to TrackEval."""

_SIZES = ((600, 10), (600, 40))
"""Frames, and objects in each."""
_QUICK = _SIZES[:1]


def metrics_of_trackeval() -> tuple[Any, Any, Any]:
    """TrackEval's classes HOTA, CLEAR and Identity. Its data sets, which need OpenCV and more, are
    not imported.

    Raises:
        ImportError: it is not there.
    """
    folder = Path(os.environ.get(FOLDER, "")) / "trackeval"
    if not os.environ.get(FOLDER) or not folder.is_dir():
        raise ImportError(f"{FOLDER} names no folder with trackeval")
    package = types.ModuleType("trackeval")
    package.__path__ = [str(folder)]
    sys.modules.setdefault("trackeval", package)
    hota, clear, identity = (
        importlib.import_module(f"trackeval.metrics.{name}")
        for name in ("hota", "clear", "identity")
    )
    options = {"PRINT_CONFIG": False, "THRESHOLD": 0.5}
    return hota.HOTA(), clear.CLEAR(options), identity.Identity(options)


def values_of_trackeval(sequences: Sequence[Sequence[Frame]]) -> dict[str, float]:
    """Its values for sequences that are combined.

    Raises:
        ImportError: it is not there.
    """
    metrics = metrics_of_trackeval()
    results: tuple[dict[str, Any], ...] = ({}, {}, {})
    for number, frames in enumerate(sequences):
        data = {
            "num_timesteps": len(frames),
            "num_gt_dets": sum(len(frame.truth) for frame in frames),
            "num_tracker_dets": sum(len(frame.tracks) for frame in frames),
            "num_gt_ids": 1 + max(int(frame.truth.max(initial=-1)) for frame in frames),
            "num_tracker_ids": 1 + max(int(frame.tracks.max(initial=-1)) for frame in frames),
            "gt_ids": [frame.truth for frame in frames],
            "tracker_ids": [frame.tracks for frame in frames],
            "similarity_scores": [frame.similarity for frame in frames],
        }
        for result, metric in zip(results, metrics, strict=True):
            result[str(number)] = metric.eval_sequence(data)
    hota, clear, identity = (
        metric.combine_sequences(result) for metric, result in zip(metrics, results, strict=True)
    )
    return {
        "hota": float(np.mean(hota["HOTA"])),
        "deta": float(np.mean(hota["DetA"])),
        "assa": float(np.mean(hota["AssA"])),
        "mota": float(clear["MOTA"]),
        "id_switches": float(clear["IDSW"]),
        "idf1": float(identity["IDF1"]),
    }


def values_of_ours(sequences: Sequence[Sequence[Frame]]) -> dict[str, float]:
    """The same by this project."""
    ratios = ratios_of([count(frames) for frames in sequences])
    return {name: float(top.sum() / bottom.sum()) for name, (top, bottom) in ratios.items()}


def crowd(frames: int, objects: int) -> list[Frame]:
    """A sequence of objects that move, and tracks that drift, break and change places."""
    random = np.random.default_rng(objects)
    place = random.uniform(0, 1000, (objects, 2))
    step = random.uniform(-4, 4, (objects, 2))
    size = random.uniform(30, 90, (objects, 2))
    names = np.arange(objects)
    sequence = []
    for _ in range(frames):
        place = place + step
        if random.random() < 0.2:
            one, other = random.choice(objects, 2, replace=False)
            names[[one, other]] = names[[other, one]]
        truth = np.flatnonzero(random.random(objects) < 0.9)
        tracked = truth[random.random(len(truth)) < 0.9]
        drift = np.tile(random.normal(0, 6, (len(tracked), 2)), 2)
        boxes = np.concatenate([place, place + size], axis=1)
        sequence.append(Frame(truth, names[tracked], overlap(boxes[truth], boxes[tracked] + drift)))
    return sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the ratios; 1 when a target is missed, or values differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--quick", action="store_true", help="one turn of the smaller sequence")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ratios to a file")
    options = parser.parse_args(arguments)
    ratios = []
    for frames, objects in _QUICK if options.quick else _SIZES:
        sequences = [crowd(frames, objects)]
        ours, theirs = values_of_ours(sequences), values_of_trackeval(sequences)
        if any(abs(ours[name] - value) > 1e-6 for name, value in theirs.items()):
            print(f"values differ: {ours}, {theirs}")
            return 1
        times = in_turns(
            lambda: values_of_ours(sequences),  # noqa: B023 - called at once
            lambda: values_of_trackeval(sequences),  # noqa: B023 - called at once
            1 if options.quick else options.rounds,
        )
        ratios.append(
            Ratio(f"{frames} frames of {objects} objects", "TrackEval", *times, target=SLOWER)
        )
        print(ratios[-1])
    if options.json:
        rows = [asdict(ratio) | {"ratio": ratio.value, "missed": ratio.missed} for ratio in ratios]
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return int(any(ratio.missed for ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
