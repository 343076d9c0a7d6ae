"""What pixels and boxes cost beside the code that users would write themselves.

Three comparisons, in turns and on one core: a letterbox with the one of Ultralytics (where it is
not installed, its published formula on OpenCV), suppression of 8,400 boxes in 80 classes with
torchvision's (with OpenCV's where torchvision does not import), and both stages of the demo's
suites with those of an earlier commit. `python -m benchmarks.pixels --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import ROOT

LETTERBOX, SUPPRESSION = 1.1, 1.2
"""Largest ratios to the peers."""

_SHAPES = ((480, 640), (720, 1280), (1080, 1920))
_ANCHORS, _CLASSES, _OBJECTS = 8_400, 80, 60
_LIMIT, _MOST = 0.6, 300

_STAGES = """
import json, sys, time
import numpy as np
from pytest_perfgate.tasks.detection import Detection

count, task = int(sys.argv[1]), Detection()
image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
outputs = np.load(sys.argv[2])
outputs = (outputs["boxes"], outputs["scores"])
seconds = {}
for name, keys in json.loads(sys.argv[3]).items():
    stages = task.pipeline(task.Input.model_validate(keys), task.Output())
    _, meta = stages.preprocess([image])
    for stage, call in (
        ("preprocess", lambda: stages.preprocess([image])),
        ("postprocess", lambda: stages.postprocess(outputs, meta)),
    ):
        times = []
        for _ in range(count):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        seconds[f"{name}, {stage}"] = min(times)
print(json.dumps(seconds))
"""
_DEMO: dict[str, dict[str, Any]] = {
    "suites/digits": {},
    "suites/text": {"color": "BGR", "mean": [0.5] * 3, "std": [0.5] * 3, "multiple": 32},
    "letterbox": {"size": [640, 640], "resize": "letterbox", "pad_value": 114},
}


@dataclass(frozen=True)
class Ratio:
    """One comparison; seconds are the fastest of all turns.

    Attributes:
        target: the largest ratio that is fast enough; None: there is none.
    """

    what: str
    peer: str
    ours: float
    theirs: float
    target: float | None

    @property
    def value(self) -> float:
        """Our seconds over the peer's."""
        return self.ours / self.theirs

    @property
    def missed(self) -> bool:
        """Whether we are slower than the target allows."""
        return self.target is not None and self.value > self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f" (target: at most {self.target})"
        return (
            f"{self.what}: {self.ours * 1e3:.3f} ms; {self.peer}: {self.theirs * 1e3:.3f} ms; "
            f"ratio {self.value:.2f}{target}{', MISSED' if self.missed else ''}"
        )


def in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """The fastest time of each, in seconds: what else the machine does makes times longer only."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, call in enumerate((ours, theirs)):
            start = time.perf_counter()
            call()
            best[index] = min(best[index], time.perf_counter() - start)
    return best[0], best[1]


def letterboxes(rounds: int) -> list[Ratio]:
    """Uint8 pictures to float32 (1, 3, 640, 640), padded around in grey."""
    import cv2
    from pytest_perfgate.tasks.pixels.input_options import Input
    from pytest_perfgate.tasks.pixels.preprocessing import Pixels

    cv2.setNumThreads(1)
    pixels = Pixels(
        Input.model_validate(
            {
                "size": [640, 640],
                "resize": "letterbox",
                "by": "opencv",
                "pad": "around",
                "pad_value": 114,
            }
        )
    )
    peer, letterbox = _letterbox()
    ratios = []
    for shape in _SHAPES:
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)

        def theirs(image: Any = image) -> Any:
            return _on_device(letterbox(image))

        np.testing.assert_allclose(pixels.read([image])[0], theirs(), atol=1e-6)
        times = in_turns(lambda: pixels.read([image]), theirs, rounds)  # noqa: B023 - called in this turn
        ratios.append(Ratio(f"letterbox of {shape}", peer, *times, LETTERBOX))
    return ratios


def _letterbox() -> tuple[str, Callable[[Any], Any]]:
    """The peer's name, and its letterbox of 640 x 640."""
    try:
        from ultralytics.data.augment import LetterBox
    except ImportError:
        return "Ultralytics' formula", _formula
    boxed = LetterBox((640, 640), auto=False, stride=32)
    return "Ultralytics' LetterBox", lambda image: boxed(image=image)


def _on_device(padded: Any) -> Any:
    """`BasePredictor.preprocess` of Ultralytics, as published, of one picture."""
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(padded[None].transpose(0, 3, 1, 2))).float()
    batch /= 255
    return batch.numpy()


def _formula(image: Any) -> Any:
    """`LetterBox` of Ultralytics, as published."""
    import cv2

    height, width = image.shape[:2]
    ratio = min(640 / height, 640 / width)
    inner = round(width * ratio), round(height * ratio)
    rooms = [(640 - side) / 2 for side in inner]
    small = image
    if (width, height) != inner:
        small = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)
    left, top = (round(room - 0.1) for room in rooms)
    right, bottom = (round(room + 0.1) for room in rooms)
    return cv2.copyMakeBorder(
        small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114,) * 3
    )


def suppressions(rounds: int) -> list[Ratio]:
    """Kept boxes of a detector with 8,400 places and 80 classes."""
    from pytest_perfgate.tasks.boxes import suppress

    ratios = []
    for floor in (0.25, 0.05):
        boxes, scores = raw_output()
        rows, categories = np.nonzero(scores >= floor)
        candidates = boxes[rows], scores[rows, categories], categories
        peer, theirs = _peer(*candidates)
        kept = suppress(*candidates, _LIMIT, _MOST)
        np.testing.assert_array_equal(kept, theirs()[:_MOST])
        times = in_turns(lambda: suppress(*candidates, _LIMIT, _MOST), theirs, rounds)  # noqa: B023 - called in this turn
        what = f"suppression of {len(rows)} boxes of {_ANCHORS} x {_CLASSES}, scores from {floor}"
        ratios.append(Ratio(what, peer, *times, SUPPRESSION))
    return ratios


def raw_output() -> tuple[Any, Any]:
    """Boxes (8400, 4) in clusters around objects, and scores (8400, 80)."""
    random = np.random.default_rng(0)
    middles = random.uniform(40, 600, (_OBJECTS, 2))
    sides = random.uniform(20, 200, (_OBJECTS, 2))
    labels = random.integers(0, _CLASSES, _OBJECTS)
    of = random.integers(0, _OBJECTS, _ANCHORS)
    middle = middles[of] + random.normal(0, 6, (_ANCHORS, 2))
    half = sides[of] * random.uniform(0.4, 0.6, (_ANCHORS, 2))
    boxes = np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)
    scores = 0.05 * random.beta(0.5, 8, (_ANCHORS, _CLASSES))
    scores[np.arange(_ANCHORS), labels[of]] = random.beta(0.6, 1.5, _ANCHORS)
    return boxes, scores.astype(np.float32)


def _peer(boxes: Any, scores: Any, categories: Any) -> tuple[str, Callable[[], Any]]:
    """The peer's name, and its suppression: kept indices, best first."""
    import torch

    torch.set_num_threads(1)
    try:
        from torchvision.ops import batched_nms
    except (ImportError, RuntimeError):  # a build for another torch raises the latter
        import cv2

        cv2.setNumThreads(1)
        corner_and_size: Any = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        labels = categories.astype(np.int32)
        return "OpenCV's NMSBoxesBatched", lambda: cv2.dnn.NMSBoxesBatched(
            corner_and_size, scores, labels, 0.0, _LIMIT
        )
    tensors = [torch.from_numpy(part) for part in (boxes, scores, categories)]
    return "torchvision's batched_nms", lambda: batched_nms(*tensors, _LIMIT).numpy()


def stages_of_the_demo(commit: str, rounds: int) -> list[Ratio]:
    """Both stages around inference as the demo's suites declare them, in processes of this code and
    of `commit`, in turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "harness"], cwd=ROOT, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        boxes, scores = raw_output()
        outputs = Path(folder) / "outputs.npz"
        np.savez(outputs, boxes=boxes[None, :1000], scores=scores[None, :1000])
        best: list[dict[str, float]] = [{}, {}]
        for _ in range(max(3, rounds // 20)):
            for index, tree in enumerate((ROOT, Path(folder))):
                for name, seconds in _measured(tree, outputs, rounds).items():
                    best[index][name] = min(seconds, best[index].get(name, seconds))
    return [Ratio(name, commit, best[0][name], best[1][name], None) for name in best[0]]


def _measured(tree: Path, outputs: Path, count: int) -> dict[str, float]:
    """Seconds of each stage, by the code of a tree."""
    done = subprocess.run(
        [sys.executable, "-c", _STAGES, str(count), str(outputs), json.dumps(_DEMO)],
        env=os.environ | {"PYTHONPATH": str(tree / "harness"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the ratios; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pixels", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 turns instead of 200")
    parser.add_argument("--against", metavar="COMMIT", help="compare the demo's stages with it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ratios to a file")
    options = parser.parse_args(arguments)
    rounds = 20 if options.quick else 200
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ratios = [*letterboxes(rounds), *suppressions(rounds)]
    if options.against:
        ratios += stages_of_the_demo(options.against, rounds)
    for ratio in ratios:
        print(ratio)
    if options.json:
        rows = [asdict(ratio) | {"ratio": ratio.value, "missed": ratio.missed} for ratio in ratios]
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return int(any(ratio.missed for ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
