"""What scores of masks cost beside the evaluator alone, on the same made-up objects and detections.

`mask AP`: from COCO's tables and predicted masks to every score with the matches that intervals
come from, beside faster-coco-eval from the same tables and its own list of results. Pixels are not
decoded by either side. `python -m benchmarks.evaluation --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import evaluation_phases, evaluation_session
from benchmarks.pixels import Ratio

TARGET = 1.2
"""Largest ratio to the evaluator alone."""

_SIZE = (480, 640)
_OBJECTS, _DETECTIONS, _CATEGORIES = 7, 20, 80


@dataclass(frozen=True)
class Scenes:
    """Objects as COCO's tables, and what is detected, as predictions and as COCO's results."""

    coco: dict[str, Any]
    predictions: list[Any]
    results: list[dict[str, Any]]


def scenes(count: int) -> Scenes:
    """`count` images with seven ellipses each, of two to four of 80 categories, and twenty
    detections near them.
    """
    from pytest_perfgate.tasks.instances.data import MaskPrediction, corners_of
    from pytest_perfgate.tasks.masks.runs import Masks

    random = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    predictions, results = [], []
    for image in range(count):
        kinds = random.choice(_CATEGORIES, int(random.integers(2, 5)))
        objects = [
            (random.uniform((60, 60), (580, 420)), np.exp(random.uniform(2, 4.5, 2)))
            for _ in range(_OBJECTS)
        ]
        categories = random.choice(kinds, _OBJECTS)
        for (middle, radii), category in zip(objects, categories, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": int(category) + 1,
                    "bbox": [*(middle - radii).tolist(), *(2 * radii).tolist()],
                    "area": float(np.pi * radii.prod()),
                    "iscrowd": 0,
                    "segmentation": [_outline(middle, radii)],
                }
            )
        rows = random.integers(_OBJECTS, size=_DETECTIONS)
        texts = tuple(
            _mask(
                objects[row][0] + objects[row][1] * random.normal(0, 0.08, 2),
                objects[row][1] * np.exp(random.normal(0, 0.08, 2)),
            )
            for row in rows
        )
        masks = Masks(_SIZE, texts)
        scores = np.sort(random.random(_DETECTIONS).astype(np.float32))[::-1].copy()
        wrong = random.random(_DETECTIONS) < 0.2
        named = np.where(wrong, random.choice(kinds, _DETECTIONS), categories[rows])
        predictions.append(MaskPrediction(corners_of(masks), scores, named.astype(np.int64), masks))
        results += [
            {
                "image_id": image + 1,
                "category_id": int(category) + 1,
                "score": float(score),
                "segmentation": table,
            }
            for category, score, table in zip(named, scores, masks.tables(), strict=True)
        ]
    height, width = _SIZE
    coco = {
        "images": [{"id": row + 1, "height": height, "width": width} for row in range(count)],
        "categories": [{"id": row + 1, "name": f"kind {row}"} for row in range(_CATEGORIES)],
        "annotations": annotations,
    }
    return Scenes(coco, predictions, results)


def _outline(middle: Any, radii: Any) -> list[float]:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = middle + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    flat: list[float] = points.reshape(-1).tolist()
    return flat


def _mask(middle: Any, radii: Any) -> bytes:
    from pytest_perfgate.tasks.masks.runs import encoded

    height, width = _SIZE
    left, top = np.maximum(middle - radii, 0).astype(int)
    right, bottom = np.minimum(middle + radii + 1, (width, height)).astype(int)
    rows, columns = np.mgrid[top:bottom, left:right]
    inside = ((columns - middle[0]) / radii[0]) ** 2 + ((rows - middle[1]) / radii[1]) ** 2 < 1
    return encoded(inside, int(top), int(left), _SIZE)


def mask_scores(drawn: Scenes, rounds: int) -> tuple[Ratio, float]:
    """The ratio of times, and the largest difference of the two sides' scores."""
    from faster_coco_eval import COCO, COCOeval_faster
    from pytest_perfgate.tasks.instances import Instances
    from pytest_perfgate.tasks.instances.data import InstanceData

    count = len(drawn.predictions)
    task, values = Instances(), {}

    class Undecoded(InstanceData):
        """Images whose pixels nobody reads: decoding is no part of an evaluation."""

        digests = tuple(map(str, range(count)))

    def ours() -> None:
        data = Undecoded([None] * count, drawn.coco)
        values["ours"] = task.evaluate(data, drawn.predictions).values

    # The evaluator writes into its tables.
    copies = [
        (
            {**drawn.coco, "annotations": [dict(one) for one in drawn.coco["annotations"]]},
            [dict(one) for one in drawn.results],
        )
        for _ in range(rounds)
    ]

    def theirs() -> None:
        coco, results = copies.pop()
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(coco)
            evaluator = COCOeval_faster(
                truth, truth.loadRes(results), "segm", print_function=lambda *_: None
            )
            evaluator.run()
        stats = evaluator.stats_as_dict
        values["theirs"] = {"mask_map": stats["AP_all"], "mask_map50": stats["AP_50"]}

    seconds = cpu_in_turns(ours, theirs, rounds)
    apart = max(abs(values["ours"][name] - value) for name, value in values["theirs"].items())
    what = f"mask AP of {count} images, {len(drawn.results)} detections"
    return Ratio(what, "faster-coco-eval", *seconds, TARGET), float(apart)


def cpu_in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """The least CPU time of each, in seconds: both take many seconds of one core, in which other
    programs would have their share of a clock's.
    """
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, call in enumerate((ours, theirs)):
            start = time.process_time()
            call()
            best[index] = min(best[index], time.process_time() - start)
    return best[0], best[1]


def kept_bytes(drawn: Scenes) -> int:
    """What the masks of all predictions take in memory."""
    tracemalloc.start()
    copies = [[bytes(bytearray(text)) for text in one.masks.texts] for one in drawn.predictions]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size if copies else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the ratio; 1 when it misses its target, or when scores differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 images instead of 5,000")
    parser.add_argument("--rounds", type=int, default=3, help="turns of both sides")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ratio to a file")
    parser.add_argument("--phases", action="store_true", help="instead each phase of boxes")
    parser.add_argument("--sessions", action="store_true", help="instead whole sessions")
    parser.add_argument("--images", type=int, default=5_000, help="of --phases and --sessions")
    parser.add_argument("--alone", action="store_true", help="--phases without an earlier build")
    options = parser.parse_args(arguments)
    if options.sessions:
        costs = evaluation_session.costs(options.images)
        evaluation_session.show(costs)
        if options.json:
            text = json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=2)
            options.json.write_text(text, encoding="utf-8")
        return 0
    if options.phases:
        columns = evaluation_phases.table(options.images, earlier=not options.alone)
        evaluation_phases.show(columns)
        if options.json:
            options.json.write_text(json.dumps(columns, indent=2), encoding="utf-8")
        return 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    drawn = scenes(500 if options.quick else 5_000)
    ratio, apart = mask_scores(drawn, options.rounds)
    size = kept_bytes(drawn)
    print(ratio)
    print(f"scores differ by {apart:.1e} at most; masks take {size / 1e6:.1f} MB")
    if options.json:
        row = asdict(ratio) | {"ratio": ratio.value, "missed": ratio.missed}
        row |= {"apart": apart, "mask_bytes": size}
        options.json.write_text(json.dumps([row], indent=2), encoding="utf-8")
    return int(ratio.missed or apart > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
