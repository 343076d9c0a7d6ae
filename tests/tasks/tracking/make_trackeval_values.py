"""Writes the values that TrackEval gives for the sets of `worlds`, the table of the tests.

    python -m pip install --target /tmp/trackeval --no-deps trackeval==1.3.0
    PERFGATE_TRACKEVAL=/tmp/trackeval python -m tests.tasks.tracking.make_trackeval_values

Its wheel asks for `opencv-python`, which would take the place of the headless build: it goes into a
folder of its own, without what it depends on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pytest_perfgate.tasks.tracking.matching import Frame

from tests.tasks.tracking.worlds import worlds

TABLE = Path(__file__).parent / "trackeval_values.json"
FOLDER = "PERFGATE_TRACKEVAL"


def metrics_of_trackeval() -> tuple[Any, Any, Any]:
    """TrackEval's classes HOTA, CLEAR and Identity. Its data sets, which need OpenCV and more, are
    not imported.

    Raises:
        ImportError: it is not there.
    """
    import importlib
    import sys
    import types

    folder = Path(os.environ.get(FOLDER, "")) / "trackeval"
    if not os.environ.get(FOLDER) or not folder.is_dir():
        raise ImportError(f"{FOLDER} names no folder with trackeval")
    package = types.ModuleType("trackeval")
    package.__path__ = [str(folder)]
    sys.modules.setdefault("trackeval", package)
    metrics = [importlib.import_module(f"trackeval.metrics.{name}") for name in ("hota", "clear")]
    identity = importlib.import_module("trackeval.metrics.identity")
    quiet = {"PRINT_CONFIG": False, "THRESHOLD": 0.5}
    return metrics[0].HOTA(), metrics[1].CLEAR(quiet), identity.Identity(quiet)


def values_of_trackeval(sequences: Sequence[Sequence[Frame]]) -> dict[str, float]:
    """Its values for sequences that are combined."""
    hota, clear, identity = metrics_of_trackeval()
    results: list[dict[str, Any]] = [{}, {}, {}]
    for number, frames in enumerate(sequences):
        data = {
            "num_timesteps": len(frames),
            "num_gt_dets": sum(len(frame.truth) for frame in frames),
            "num_tracker_dets": sum(len(frame.tracks) for frame in frames),
            "num_gt_ids": 1
            + max((int(one) for frame in frames for one in frame.truth), default=-1),
            "num_tracker_ids": 1
            + max((int(one) for frame in frames for one in frame.tracks), default=-1),
            "gt_ids": [frame.truth for frame in frames],
            "tracker_ids": [frame.tracks for frame in frames],
            "similarity_scores": [frame.similarity for frame in frames],
        }
        for result, metric in zip(results, (hota, clear, identity), strict=True):
            result[str(number)] = metric.eval_sequence(data)
    whole = [
        metric.combine_sequences(result)
        for metric, result in zip((hota, clear, identity), results, strict=True)
    ]
    return {
        "hota": float(np.mean(whole[0]["HOTA"])),
        "deta": float(np.mean(whole[0]["DetA"])),
        "assa": float(np.mean(whole[0]["AssA"])),
        "mota": float(whole[1]["MOTA"]),
        "id_switches": float(whole[1]["IDSW"]),
        "idf1": float(whole[2]["IDF1"]),
    }


if __name__ == "__main__":
    table = {name: values_of_trackeval(sequences) for name, sequences in worlds().items()}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print(f"{TABLE}: {len(table)} sets")  # noqa: T201 - a program
