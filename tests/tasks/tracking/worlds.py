"""Random sequences with tracks of many kinds of errors, the same for a seed."""

from __future__ import annotations

import numpy as np
from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.tracking.matching import Frame


def world(seed: int, frames: int = 12, objects: int = 5) -> list[Frame]:
    """Objects that come and go; tracks that drift, swap, break, double and are missing. Some frames
    have no object, no track, or neither; overlaps of exactly one half are among them.
    """
    random = np.random.default_rng(seed)
    place = random.uniform(0, 100, (objects, 2))
    step = random.uniform(-6, 6, (objects, 2))
    size = random.integers(10, 30, (objects, 2)).astype(float)
    names = np.arange(objects)
    following = objects
    raw = []
    for frame in range(frames):
        place = place + step
        present = np.flatnonzero(random.random(objects) < 0.8)
        if frame == frames // 2:
            present = present[:0]
        boxes = np.concatenate([place[present], place[present] + size[present]], axis=1)
        if random.random() < 0.25 and objects > 1:  # two tracks change places
            one, other = random.choice(objects, 2, replace=False)
            names[[one, other]] = names[[other, one]]
        if random.random() < 0.25:  # a track breaks
            names[random.integers(objects)] = following
            following += 1
        tracked = present[random.random(len(present)) < 0.85]
        drift = random.normal(0, random.choice([0.0, 1.0, 5.0]), (len(tracked), 2))
        corners = np.concatenate([place[tracked], place[tracked] + size[tracked]], axis=1)
        corners += np.tile(drift, 2)
        if len(tracked) and random.random() < 0.3:  # exactly half of a box
            corners[0] = np.concatenate([place[tracked[0]], place[tracked[0]] + size[tracked[0]]])
            corners[0, 2] -= size[tracked[0], 0] / 2
        ids = names[tracked]
        if random.random() < 0.4:  # a false box
            false = random.uniform(0, 100, 2)
            corners = np.concatenate([corners, [[*false, *(false + 15)]]])
            ids = np.append(ids, following)
            following += 1
        if frame == frames - 3:
            ids, corners = ids[:0], corners[:0]
        raw.append((present, ids, overlap(boxes, corners)))
    known = np.unique(np.concatenate([ids for _, ids, _ in raw]))
    there = np.unique(np.concatenate([present for present, _, _ in raw]))
    return [
        Frame(np.searchsorted(there, present), np.searchsorted(known, ids), near)
        for present, ids, near in raw
    ]


def worlds() -> dict[str, list[list[Frame]]]:
    """Sets of sequences by name: some of one, some of several, some without truth or tracks."""
    none = np.zeros(0, np.int64)
    sets = {f"seed {seed}": [world(seed)] for seed in range(12)}
    sets |= {
        f"sequences {seed}": [
            world(100 * seed + number, 8 + number, 1 + number) for number in range(6)
        ]
        for seed in range(4)
    }
    no_tracks = [Frame(frame.truth, none, np.zeros((len(frame.truth), 0))) for frame in world(50)]
    no_truth = [Frame(none, frame.tracks, np.zeros((0, len(frame.tracks)))) for frame in world(51)]
    return sets | {
        "no tracks": [no_tracks],
        "no truth": [no_truth],
        "one of each": [world(52), no_tracks, no_truth],
    }
