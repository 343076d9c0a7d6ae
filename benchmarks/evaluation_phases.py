"""What each phase of an evaluation costs for eight recipes, in this build and an earlier one.

`python -m benchmarks.evaluation --phases` makes COCO val2017's shape (5,000 images, 80 categories,
36,000 objects), infers it once, and moves the scores a little for each of eight recipes. Both
builds are given the same images, instances and detections, in processes of their own.
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

EARLIER = "8d140d7"
"""The commit that is measured beside this build."""

RECIPES = 8
_ALPHA = 0.01
_ROOT = Path(__file__).parents[1]


def table(count: int, *, earlier: bool = True) -> dict[str, dict[str, float]]:
    """CPU seconds by phase and build, and of faster-coco-eval alone."""
    from benchmarks.coco_shape import write_suite

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_suite(folder / "suite", count)
        columns = {"this build": _child(folder, _ROOT / "harness", "new")}
        if not earlier:
            return columns
        archive = subprocess.run(
            ["git", "archive", EARLIER, "harness"], cwd=_ROOT, capture_output=True, check=False
        )
        if archive.returncode == 0:
            with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
                tar.extractall(folder / "earlier", filter="data")
            columns[EARLIER] = _child(folder, folder / "earlier", "old")
        else:
            print(f"{EARLIER} is not in this clone: git fetch --unshallow")
        return columns


def _child(folder: Path, packages: Path, build: str) -> dict[str, float]:
    env = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{_ROOT}"}
    command = [sys.executable, "-m", "benchmarks.evaluation_phases", str(folder), build]
    subprocess.run(command, cwd=folder, env=env, check=True)
    columns: dict[str, float] = json.loads((folder / f"{build}.json").read_text())
    return columns


class _Pictures(Sequence[Any]):
    """Pictures decoded when asked for, for the build that reads no folders."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        from PIL import Image

        return np.asarray(Image.open(self._files[index]).convert("RGB"))


def _build(this: bool) -> SimpleNamespace:
    """What is measured, under the names of `this` build or of the earlier one."""
    from importlib import import_module

    where = {
        "Detection": "pytest_perfgate.tasks.detection",
        "DetectionData": "pytest_perfgate.tasks.detection.data",
        "Prediction": "pytest_perfgate.tasks.detection.data",
        "accuracy_difference": "pytest_perfgate.verdicts.accuracy_intervals",
        "accuracy_interval": "pytest_perfgate.verdicts.accuracy_intervals",
    }
    if not this:
        where = {
            "Detection": "harness.tasks.detection",
            "DetectionData": "harness.tasks.detection",
            "Prediction": "harness.tasks.coco",
            "accuracy_difference": "harness.accuracy",
            "accuracy_interval": "harness.accuracy",
        }
    parts = {name: getattr(import_module(module), name) for name, module in where.items()}
    files = import_module("pytest_perfgate.tasks.image_files").ImageFiles if this else _Pictures
    return SimpleNamespace(**parts, Pictures=files)


def measure(folder: Path, *, this: bool) -> dict[str, float]:
    """CPU seconds of each phase, in `this` build or the earlier one."""
    seconds: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        start = time.process_time()
        value = call()
        seconds[name] = round(time.process_time() - start, 2)
        return value

    build = _build(this)
    suite = folder / "suite"

    def read() -> Any:
        coco = json.loads((suite / "validation.json").read_bytes())
        files = [suite / "validation" / entry["file_name"] for entry in coco["images"]]
        return build.DetectionData(build.Pictures(files), coco)

    data = timed("reading annotations", read)
    (folder / "cache").mkdir(exist_ok=True)
    os.environ["PERFGATE_CACHE"] = str(folder / "cache")
    time.sleep(3)  # as if pictures were older: what was written just now is not kept
    timed("digests, first session", lambda: data.digests)
    again = timed("reading annotations", read)
    timed("digests, next session", lambda: again.digests)
    count = len(data.images)
    timed("decoding", lambda: [np.array(data.images[index]).shape for index in range(count)])
    if this:
        _read_kept(folder, read, timed)
        predictions = timed("inference with its pipeline", lambda: _infer(suite, data))
        _keep(folder, predictions)
    stored = np.load(folder / "predictions.npz")
    ends = np.cumsum(stored["counts"])[:-1]
    parts = [np.split(stored[name], ends) for name in ("boxes", "scores", "categories")]
    task = build.Detection()
    random = np.random.default_rng(0)

    def predicted(noise: float) -> list[Any]:
        moved = []
        for boxes, before, categories in zip(*parts, strict=True):
            scores = np.clip(before + random.normal(0, noise, len(before)), 0, 1)
            order = np.argsort(-scores, kind="stable")
            moved.append(
                build.Prediction(boxes[order], scores[order].astype(np.float32), categories[order])
            )
        return moved

    every = [predicted(0.01 * row) for row in range(RECIPES)]
    seconds["detections"] = len(stored["scores"])
    timed("faster-coco-eval alone, a recipe", lambda: _alone(data.coco, every[0]))
    accuracies = timed(
        "matching and average precision", lambda: [task.evaluate(data, one) for one in every]
    )
    timed("intervals", lambda: [build.accuracy_interval(one, "map", _ALPHA) for one in accuracies])
    timed(
        "paired comparisons with the reference",
        lambda: [
            build.accuracy_difference(one, accuracies[0], "map", _ALPHA) for one in accuracies[1:]
        ],
    )
    earlier = [*accuracies[1:], accuracies[0]]
    timed(
        "paired comparisons with baselines",
        lambda: [
            build.accuracy_difference(one, other, "map", _ALPHA)
            for one, other in zip(accuracies, earlier, strict=True)
        ],
    )
    sizes = timed("writing", lambda: [_written(one, this) for one in accuracies])
    seconds["kB of a baseline"] = round(float(np.mean(sizes)) / 1000)
    seconds["MB of memory"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return seconds


def _read_kept(
    folder: Path, read: Callable[[], Any], timed: Callable[[str, Callable[[], Any]], Any]
) -> None:
    """Every image as the second recipe of a session reads it: the first one has decoded it."""
    from pytest_perfgate.tasks.kept_pixels import VARIABLE

    (folder / "pixels").mkdir()
    os.environ[VARIABLE] = str(folder / "pixels")
    for _ in range(2):
        data = read()
        assert data.digests  # pixels are kept by them
        timed("reading decoded images", partial(list, map(np.shape, data.images)))
    del os.environ[VARIABLE]


def _written(accuracy: Any, this: bool) -> int:
    text: str = accuracy.model_dump_json()
    if not this:
        return len(text)
    from pytest_perfgate.baselines.pairs import split

    bare, _, packed = split(accuracy, "recipe")
    return len(bare.model_dump_json()) + len(packed)


def _infer(suite: Path, data: Any) -> list[Any]:
    import onnxruntime
    from pytest_perfgate.tasks.detection import Detection

    task = Detection()
    output = {"decode": "ultralytics_nms", "score_threshold": 0.15}
    pipeline = task.pipeline(
        task.Input.model_validate({"size": [320, 320]}), task.Output.model_validate(output)
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(suite / "detector.onnx", options)
    predictions: list[Any] = []
    for index in range(len(data.images)):
        inputs, meta = pipeline.preprocess([np.array(data.images[index])])
        predictions += pipeline.postprocess(tuple(session.run(None, {"x": inputs.images})), meta)
    return predictions


def _keep(folder: Path, predictions: Sequence[Any]) -> None:
    np.savez(
        folder / "predictions.npz",
        counts=[len(one.scores) for one in predictions],
        boxes=np.concatenate([one.boxes for one in predictions]),
        scores=np.concatenate([one.scores for one in predictions]),
        categories=np.concatenate([one.categories for one in predictions]),
    )


def _alone(coco: dict[str, Any], predictions: Sequence[Any]) -> None:
    from faster_coco_eval import COCO, COCOeval_faster

    truth = {**coco, "annotations": [dict(one) for one in coco["annotations"]]}
    results = [
        {
            "image_id": row + 1,
            "category_id": int(category) + 1,
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
        }
        for row, one in enumerate(predictions)
        for (left, top, right, bottom), score, category in zip(
            one.boxes.tolist(), one.scores.tolist(), one.categories.tolist(), strict=True
        )
    ]
    with redirect_stdout(io.StringIO()):
        objects = COCO(truth)
        evaluator = COCOeval_faster(
            objects, objects.loadRes(results), "bbox", print_function=lambda *_: None
        )
        evaluator.run()


def show(columns: dict[str, dict[str, float]]) -> None:
    """Prints the table, in Markdown."""
    print(f"| CPU seconds, {RECIPES} recipes | {' | '.join(columns)} |")
    print("| --- |" + " --- |" * len(columns))
    for name in next(iter(columns.values())):
        cells = (str(column.get(name, "")) for column in columns.values())
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    place, build = Path(sys.argv[1]), sys.argv[2]
    (place / f"{build}.json").write_text(json.dumps(measure(place, this=build == "new")))
