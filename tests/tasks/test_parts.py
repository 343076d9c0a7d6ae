"""Parts of a task's data, of which folds are made: each image keeps what is true of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.building.fold_data import folds_of
from pytest_perfgate.records.recipe import FoldSpec
from pytest_perfgate.tasks import Task
from pytest_perfgate.tasks.clip_classification.data import ClipData, ClipScores
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
from pytest_perfgate.tasks.image_files import Digested
from pytest_perfgate.tasks.tracking.data import Objects, TrackingData, Tracks

from tests.tasks import mask_scenes, panoptic_scenes, scenes
from tests.tasks.oriented import scenes as oriented_scenes
from tests.tasks.pose import scenes as pose_scenes

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")

FRAMES = (3, 2, 4)
Scene = tuple[Digested, list[Any]]


def _detection() -> Scene:
    masked, predictions = mask_scenes.scene(3)
    annotations = [
        {**entry, "bbox": box.tolist(), "area": float(box[2] * box[3])}
        for entry, box in zip(masked.coco["annotations"], masked.instances.boxes, strict=True)
    ]
    data = DetectionData(masked.images, {**masked.coco, "annotations": annotations})
    return data, [Prediction(one.boxes, one.scores, one.categories) for one in predictions]


def _segmentation() -> Scene:
    data = scenes.data(6)
    images = [np.full(image.shape, row, np.uint8) for row, image in enumerate(data.images)]
    return replace(data, images=images), scenes.noisy(6)


def _sequences() -> tuple[list[Any], list[int]]:
    """Pixels of all frames, and the number of each in its sequence."""
    frames = [number for length in FRAMES for number in range(length)]
    return [np.full((8, 8, 3), row, np.uint8) for row in range(len(frames))], frames


def _tracking() -> Scene:
    images, frames = _sequences()
    corners = [[[row, 0, row + 20, 20], [50, row, 70, row + 20]] for row in range(len(frames))]
    objects = [Objects.of(boxes, [1, 2]) for boxes in corners]
    tracks = [
        Tracks(
            np.array(boxes, np.float32) + number % 5,
            np.ones(2, np.float32),
            np.zeros(2, np.int64),
            np.array([7, 8 + (number == 4)]),
            frame,
        )
        for number, (boxes, frame) in enumerate(zip(corners, frames, strict=True))
    ]
    return TrackingData(images, FRAMES, objects, names=("a", "b", "c")), tracks


def _clips() -> Scene:
    images, frames = _sequences()
    scores = np.linspace(0.1, 0.9, len(frames), dtype=np.float32)
    called = [
        ClipScores(np.array([1 - score, score]), frame)
        for score, frame in zip(scores, frames, strict=True)
    ]
    return ClipData(images, FRAMES, (1, 0, 1), ("still", "moves")), called


SCENES: dict[str, Callable[[], Scene]] = {
    "detection": _detection,
    "instances": lambda: mask_scenes.scene(3),
    "oriented": lambda: oriented_scenes.scene(3),
    "panoptic": lambda: panoptic_scenes.scene(3),
    "pose": lambda: pose_scenes.scene(3),
    "segmentation": _segmentation,
    "tracking": _tracking,
    "clip_classification": _clips,
}


def task_of(name: str) -> Task:
    """The task of this name."""
    task: Task = registry.find(registry.TASKS, name)
    return task


@pytest.mark.parametrize("name", SCENES)
def test_images_keep_what_is_true_of_them(name: str) -> None:
    """In another order all of them score as they did; one fold is scored by its own truth, and has
    a digest though its images were read with the whole.
    """
    data, predictions = SCENES[name]()
    task = task_of(name)
    folds, groups = folds_of(FoldSpec(3, "train"), _Splits(data))  # type: ignore[arg-type]  # a stand-in
    assert groups == (len(FRAMES) if name in {"tracking", "clip_classification"} else 0)
    whole = task.evaluate(data, predictions)
    order = [row for fold in (2, 0, 1) for row in range(len(folds)) if folds[row] == fold]
    other = task.part(data, order)
    again = task.evaluate(other, [predictions[row] for row in order])
    assert again.values == pytest.approx(whole.values, abs=1e-9)
    assert other.class_names == data.class_names
    digests = set()
    for fold in range(3):
        rows = [row for row in range(len(folds)) if folds[row] == fold]
        part = task.part(data, rows)
        part.__dict__["digests"] = tuple(data.digests[row] for row in rows)
        digests.add(part.digest)
        assert [int(image[0, 0, 0]) for image in part.images] == [
            int(data.images[row][0, 0, 0]) for row in rows
        ]
        assert task.evaluate(part, [predictions[row] for row in rows]).images
    assert len(digests) == 3


@pytest.mark.parametrize("name", ["tracking", "clip_classification"])
def test_frames_of_a_sequence_stay_together(name: str) -> None:
    """A part of a sequence is none of its data."""
    data, _ = SCENES[name]()
    assert task_of(name).part(data, [0, 1]) is None
    assert task_of(name).part(data, [3, 4]).sequences == [2]
    assert task_of(name).part(data, [4, 3]) is None


def test_keypoints_have_their_names_where_no_object_has_any() -> None:
    """A fold of images without labelled keypoints is data of the same pose."""
    data, _ = pose_scenes.scene(3)
    coco = {**data.coco, "annotations": data.coco["annotations"][:1]}
    coco["categories"] = [{"id": 1, "name": "animal"}]
    some = type(data)(data.images, coco, data.sigmas)
    image = int(some.instances.image[0])
    rows = [row for row in range(len(data.images)) if row != image]
    assert some.part(rows).keypoints.names == some.keypoints.names


class _Splits:
    """Data of one split, whatever is asked for."""

    def __init__(self, data: Digested) -> None:
        self._data = data

    def split(self, _: str) -> Digested:
        return self._data
