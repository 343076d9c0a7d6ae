"""One sequence of tracks beside the truth: what HOTA, CLEAR MOT and the identity scores count.

- HOTA: Luiten et al. 2021, "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking",
  International Journal of Computer Vision 129.
- CLEAR MOT: Bernardin and Stiefelhagen 2008, "Evaluating Multiple Object Tracking Performance".
- Identity: Ristani et al. 2016, "Performance Measures and a Data Set for Multi-Target, Multi-Camera
  Tracking".

All counts are those of TrackEval's classes `HOTA`, `CLEAR` and `Identity`, its treatment of empty
frames and of rounding included. They are sums, so that those of sequences and classes add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALPHAS: Floats = np.arange(0.05, 0.99, 0.05)
"""Overlaps from which on a detection is localised well enough: HOTA is the mean over them."""

_THRESHOLD = 0.5  # of CLEAR MOT and of the identity scores
_TINY = float(np.finfo("float").eps)
_CONTINUES = 1000.0  # of a pair that continues that of the frame before: more than any overlap


@dataclass(frozen=True)
class Frame:
    """One frame of one class.

    Attributes:
        truth: int64 (G,), numbers of the true objects, from 0 in each sequence.
        tracks: int64 (T,), numbers of the tracks, from 0 in each sequence.
        similarity: float64 (G, T), intersection over union of their boxes.
    """

    truth: Ints
    tracks: Ints
    similarity: Floats


@dataclass(frozen=True)
class Counts:
    """What one sequence counts; all add up.

    Attributes:
        matched, missed, extra: (19,), true positives, false negatives and false positives at each
            of `ALPHAS`.
        association: (19,), sum over true positives of the Jaccard index of their object and track.
        clear_matched, clear_missed, clear_extra, switches: of CLEAR MOT.
        same, lost, other: true positives, false negatives and false positives of identity.
    """

    matched: Floats
    missed: Floats
    extra: Floats
    association: Floats
    clear_matched: int = 0
    clear_missed: int = 0
    clear_extra: int = 0
    switches: int = 0
    same: int = 0
    lost: int = 0
    other: int = 0

    def __add__(self, more: Counts) -> Counts:
        ours, theirs = self.__dict__, more.__dict__
        return Counts(**{name: part + theirs[name] for name, part in ours.items()})

    @classmethod
    def none(cls) -> Counts:
        """Of no frame."""
        none = np.zeros(len(ALPHAS))
        return cls(none, none, none, none)


def count(frames: Sequence[Frame]) -> Counts:
    """The counts of a sequence, frame by frame in its order."""
    objects = sum(len(frame.truth) for frame in frames)
    detections = sum(len(frame.tracks) for frame in frames)
    if not objects or not detections:
        missed, extra, none = (np.full(len(ALPHAS), n, float) for n in (objects, detections, 0))
        return Counts(
            none,
            missed,
            extra,
            none,
            clear_missed=objects,
            clear_extra=detections,
            lost=objects,
            other=detections,
        )
    matched, association = _hota(frames)
    clear, switches = _clear(frames)
    same = _same_identities(frames)
    return Counts(
        matched,
        objects - matched,
        detections - matched,
        association,
        clear_matched=clear,
        clear_missed=objects - clear,
        clear_extra=detections - clear,
        switches=switches,
        same=same,
        lost=objects - same,
        other=detections - same,
    )


def _sizes(frames: Sequence[Frame]) -> tuple[Ints, Ints]:
    """How many detections each object (G,) and each track (T,) has."""
    objects = np.bincount(np.concatenate([frame.truth for frame in frames]))
    tracks = np.bincount(np.concatenate([frame.tracks for frame in frames]))
    return objects.astype(np.int64), tracks.astype(np.int64)


def _hota(frames: Sequence[Frame]) -> tuple[Floats, Floats]:
    """True positives and the sum of their association, at each of `ALPHAS` (19,)."""
    from scipy.optimize import linear_sum_assignment

    objects, tracks = _sizes(frames)
    # How well object and track fit over the whole sequence, before either is matched.
    potential = np.zeros((len(objects), len(tracks)))
    for frame in frames:
        near = frame.similarity
        if near.size:
            whole = near.sum(0)[None, :] + near.sum(1)[:, None] - near
            share = np.divide(near, whole, out=np.zeros_like(near), where=whole > _TINY)
            potential[frame.truth[:, None], frame.tracks[None, :]] += share
    alignment = potential / (objects[:, None] + tracks[None, :] - potential)
    pairs: list[Ints] = []
    overlaps: list[Floats] = []
    for frame in frames:
        if frame.similarity.size:
            score = alignment[frame.truth[:, None], frame.tracks[None, :]] * frame.similarity
            rows, columns = linear_sum_assignment(score, maximize=True)
            pairs.append(frame.truth[rows] * len(tracks) + frame.tracks[columns])
            overlaps.append(frame.similarity[rows, columns])
    matched, association = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS))
    if not pairs:
        return matched, association
    pair, overlap = np.concatenate(pairs), np.concatenate(overlaps)
    known, place = np.unique(pair, return_inverse=True)
    both = objects[known // len(tracks)] + tracks[known % len(tracks)]
    for index, alpha in enumerate(ALPHAS):
        kept = overlap >= alpha - _TINY
        times = np.bincount(place[kept], minlength=len(known))
        matched[index] = kept.sum()
        association[index] = float((times * (times / np.maximum(1, both - times))).sum())
    return matched, association


def _clear(frames: Sequence[Frame]) -> tuple[int, int]:
    """Matches, and how often an object is matched with another track than the last time."""
    from scipy.optimize import linear_sum_assignment

    objects, _ = _sizes(frames)
    last = np.full(len(objects), -1)  # the track of each object when it last had one
    before = last.copy()  # ... in the frame before alone
    matched = switches = 0
    for frame in frames:
        if not frame.similarity.size:  # passed over, as if it were not there
            continue
        continues = frame.tracks[None, :] == before[frame.truth[:, None]]
        score = _CONTINUES * continues + frame.similarity
        score[frame.similarity < _THRESHOLD - _TINY] = 0
        rows, columns = linear_sum_assignment(score, maximize=True)
        there = score[rows, columns] > _TINY
        truth, tracks = frame.truth[rows[there]], frame.tracks[columns[there]]
        switches += int(((last[truth] >= 0) & (last[truth] != tracks)).sum())
        last[truth] = tracks
        before[:] = -1
        before[truth] = tracks
        matched += len(truth)
    return matched, switches


def _same_identities(frames: Sequence[Frame]) -> int:
    """Detections of the one track that stands for each object: the assignment of tracks to objects
    that leaves the fewest detections wrong, which is the one that leaves the most right.
    """
    from scipy.optimize import linear_sum_assignment

    objects, tracks = _sizes(frames)
    together = np.zeros((len(objects), len(tracks)), dtype=np.int64)
    for frame in frames:
        rows, columns = np.nonzero(frame.similarity >= _THRESHOLD)
        np.add.at(together, (frame.truth[rows], frame.tracks[columns]), 1)
    rows, columns = linear_sum_assignment(together, maximize=True)
    return int(together[rows, columns].sum())
