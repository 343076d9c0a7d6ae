"""Panoptic quality, and its uncertainty from the images.

Segments of one class match when their intersection over union is above one half, which no segment
can be with two others (Kirillov et al. 2019, "Panoptic Segmentation"). Of a class, quality is the
sum of the matches' IoU over the matches and half of the segments without one. Pixels of no true
segment, and crowds, count as in `panopticapi`.

A mean over classes is no ratio of sums over images. It is linearised about its value, as a mean
intersection over union is (`tasks.segmentation.scores`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.tasks.panoptic.data import Panoptic
from pytest_perfgate.tasks.unscored import unscored
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    from pytest_perfgate.tasks.panoptic.data import PanopticData, Segment

Floats = npt.NDArray[np.float64]
Sums = tuple[Floats, Floats]

_MATCH = 0.5
_NO_SEGMENTS = "the data has no segments"
_NAMED = 8  # classes that a note names
_GROUPS = ("", "_things", "_stuff")
OF_TRUTH = tuple(f"{name}{group}" for group in _GROUPS for name in ("pq", "sq", "rq"))


@dataclass(frozen=True)
class Matched:
    """Segments of one image.

    Attributes:
        pairs: (true, predicted), both from 0 on, of the segments that match.
        overlaps: intersection over union of each pair.
        missed: true segments without a match that are to be found.
        surplus: predicted segments without a match that count.
    """

    pairs: list[tuple[int, int]]
    overlaps: list[float]
    missed: list[int]
    surplus: list[int]


def match(
    true: npt.NDArray[np.int64],
    segments: Sequence[Segment],
    predicted: npt.NDArray[np.int64],
    categories: npt.NDArray[np.int64],
) -> Matched:
    """The segments of two maps (H, W), whose numbers count from 1, 0 for none."""
    count, other = len(segments), len(categories)
    pairs = np.bincount(
        (true * (other + 1) + predicted).reshape(-1), minlength=(count + 1) * (other + 1)
    ).reshape(count + 1, other + 1)
    kinds = np.array([segment.category for segment in segments], dtype=np.int64)
    crowd = np.array([segment.crowd for segment in segments], dtype=bool)
    inner, void = pairs[1:, 1:], pairs[0, 1:]
    areas = pairs[:, 1:].sum(axis=0)
    union = pairs[1:].sum(axis=1)[:, None] + areas[None, :] - inner - void[None, :]
    overlaps = inner / np.maximum(union, 1)
    same = kinds[:, None] == categories[None, :]
    rows, columns = np.nonzero((overlaps > _MATCH) & same & ~crowd[:, None])
    unmatched = np.ones(other, dtype=bool)
    unmatched[columns] = False
    # A segment that lies for the most part on no true segment, or on a crowd of its class, is let
    # pass. Of several crowds of a class the last one counts, as in panopticapi.
    crowds = {int(kinds[row]): row for row in np.flatnonzero(crowd)}
    surplus = []
    for column in np.flatnonzero(unmatched).tolist():
        let = int(void[column])
        if (row := crowds.get(int(categories[column]))) is not None:
            let += int(inner[row, column])
        if let <= _MATCH * areas[column]:
            surplus.append(column)
    lone = np.ones(count, dtype=bool)
    lone[rows] = False
    return Matched(
        list(zip(rows.tolist(), columns.tolist(), strict=True)),
        overlaps[rows, columns].tolist(),
        np.flatnonzero(lone & ~crowd).tolist(),
        surplus,
    )


@dataclass(frozen=True)
class Tally:
    """Of every image and class, (images, C) each: matches, the sum of their IoU, and segments
    without a match, of both sides together.
    """

    matches: Floats
    overlaps: Floats
    lone: Floats

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Whether there is any segment of each class, (C,)."""
        present: npt.NDArray[np.bool_] = (self.matches + self.lone).sum(axis=0) > 0
        return present

    def parts(self, name: str) -> Sums:
        """Numerator and denominator of a class's score, (images, C) each."""
        halves = self.matches + 0.5 * self.lone
        if name == "sq":
            return self.overlaps, self.matches
        return (self.overlaps if name == "pq" else self.matches), halves

    def values(self, name: str) -> Floats:
        """The score of each class, (C,); 0 without a match."""
        top, bottom = (part.sum(axis=0) for part in self.parts(name))
        scores: Floats = np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)
        return scores

    def shares(self, name: str, classes: npt.NDArray[Any]) -> Floats:
        """Each image's share (images,) of the mean over some classes."""
        top, bottom = (part[:, classes] for part in self.parts(name))
        value, total = self.values(name)[classes], bottom.sum(axis=0)
        moved = np.divide(
            len(top) * (top - value * bottom), total, out=np.zeros_like(top), where=total > 0
        )
        shares: Floats = (value + moved).mean(axis=1)
        return shares


def evaluate(data: PanopticData, predictions: Sequence[Panoptic]) -> Accuracy:
    """Scores of one prediction per image.

    Raises:
        DataError: a prediction is missing, of another size, or of other classes.
    """
    count = len(data.images)
    if len(predictions) != count:
        raise DataError(f"there are {len(predictions)} predictions for {count} images")
    unmeasured = {}
    if any(prediction.scores is None for prediction in predictions):
        unmeasured["score_shift"] = "the model gives no scores of segments"
    digest = hashlib.sha256()
    for prediction in predictions:
        digest.update(f"{prediction.size} {prediction.categories.tolist()}".encode())
        digest.update(prediction.lengths.tobytes() + prediction.numbers.tobytes())
        digest.update(b"" if prediction.scores is None else prediction.scores.tobytes())
    if not data.labelled:
        return unscored(data, digest.hexdigest(), _NO_SEGMENTS, OF_TRUTH, unmeasured)
    tally, objects = _tally(data, predictions)
    if not objects:
        raise DataError("there are no segments to find, so there is no score")
    present, things = tally.present, np.array(data.things, dtype=bool)
    values: dict[str, float] = {}
    ratios: dict[str, Ratio] = {}
    for group, members in zip(_GROUPS, (present, present & things, present & ~things), strict=True):
        rows = np.flatnonzero(members)
        for name in ("pq", "sq", "rq"):
            if not len(rows):
                kind = group[1:] or "any class"
                unmeasured[f"{name}{group}"] = f"no image or prediction has a segment of {kind}"
                continue
            values[f"{name}{group}"] = float(tally.values(name)[rows].mean())
            top, bottom = _in_parts(tally.shares(name, rows), objects / count)
            ratios[f"{name}{group}"] = Ratio(
                numerator=Packed.of(top), denominator=Packed.of(bottom)
            )
    return Accuracy(
        values=values,
        per_category={
            str(data.classes[row]): float(tally.values("pq")[row])
            for row in np.flatnonzero(present).tolist()
        },
        images=count,
        data_digest=data.digest,
        predictions_digest=digest.hexdigest(),
        ratios=ratios,
        notes=(*data.notes, *_left_out(data, present)),
        unmeasured=unmeasured,
    )


def _in_parts(shares: Floats, parts: float) -> Sums:
    """Shares (images,) as a ratio whose denominator is a segment: an interval reckons with one more
    that is lost (`stats.average_precision.Estimate`).
    """
    scale = max(1.0, parts)
    return shares * scale, np.full(len(shares), scale)


def _left_out(data: PanopticData, present: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    names = [str(name) for name, there in zip(data.classes, present, strict=True) if not there]
    if not names:
        return ()
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    counted = count_of(int(present.sum()), "class", "classes")
    return (f"pq is the mean over {counted}; no image or prediction has a segment of: {shown}",)


def _tally(data: PanopticData, predictions: Sequence[Panoptic]) -> tuple[Tally, int]:
    """The counts of all images, and how many segments there are to find."""
    shape = (len(predictions), len(data.classes))
    matches, overlaps, lone = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    objects = 0
    for index, prediction in enumerate(predictions):
        true, segments = data.numbers(index), data.segments[index]
        _check(data, index, prediction, true.shape)
        categories = prediction.categories
        matched = match(true, segments, prediction.map(), categories)
        for (row, _), overlap in zip(matched.pairs, matched.overlaps, strict=True):
            matches[index, segments[row].category] += 1
            overlaps[index, segments[row].category] += overlap
        for row in matched.missed:
            lone[index, segments[row].category] += 1
        for column in matched.surplus:
            lone[index, categories[column]] += 1
        objects += len(matched.pairs) + len(matched.missed)
        data.report(index + 1, len(predictions))
    return Tally(matches, overlaps, lone), objects


def _check(data: PanopticData, index: int, prediction: Panoptic, shape: tuple[int, ...]) -> None:
    if prediction.size != shape:
        raise DataError(
            f"the prediction of image {index} has the shape {prediction.size}, and its map {shape}",
            where="suite.output",
            valid="a map of the size of the original image",
        )
    highest = int(prediction.categories.max(initial=-1))
    if highest >= len(data.classes):
        raise DataError(
            f"the model gives the class {highest} for image {index}, and the data has "
            f"{len(data.classes)} classes",
            where="suite.output",
            valid=f"0 to {len(data.classes) - 1}",
            next_step="name the network's classes in the data's order: classes = [1, 2, 3]",
        )


def pack(predictions: Sequence[Panoptic]) -> dict[str, npt.NDArray[Any]]:
    """Predictions as arrays: `shapes` (images, 2), `runs` and `counts` (images,), how many runs and
    segments each image has, `lengths` and `numbers` of all runs, `categories` of all segments, and
    `scores` where there are some.
    """
    packed = {
        "shapes": np.array([one.size for one in predictions], np.int64).reshape(-1, 2),
        "runs": np.array([len(one.lengths) for one in predictions], dtype=np.int64),
        "counts": np.array([len(one.categories) for one in predictions], dtype=np.int64),
        "lengths": np.concatenate([np.zeros(0, np.uint32), *(one.lengths for one in predictions)]),
        "numbers": np.concatenate([np.zeros(0, np.uint16), *(one.numbers for one in predictions)]),
        "categories": np.concatenate(
            [np.zeros(0, np.int64), *(one.categories for one in predictions)]
        ),
    }
    scores = [one.scores for one in predictions if one.scores is not None]
    if len(scores) == len(predictions):
        packed["scores"] = np.concatenate([np.zeros(0, np.float32), *scores])
    return packed


def unpack(packed: Mapping[str, npt.NDArray[Any]]) -> list[Panoptic]:
    """What `pack` packed."""
    runs, ends = np.cumsum(packed["runs"])[:-1], np.cumsum(packed["counts"])[:-1]
    count = len(packed["runs"])
    scores: Sequence[Any] = [None] * count
    if "scores" in packed:
        scores = np.split(packed["scores"], ends)
    return [
        Panoptic((height, width), lengths, numbers, categories, own)
        for (height, width), lengths, numbers, categories, own in zip(
            packed["shapes"].tolist(),
            np.split(packed["lengths"], runs),
            np.split(packed["numbers"], runs),
            np.split(packed["categories"], ends),
            scores,
            strict=True,
        )
    ]


def compare(
    ours: Mapping[str, npt.NDArray[Any]], other: Mapping[str, npt.NDArray[Any]]
) -> dict[str, Sums]:
    """`agreement` and `score_shift` of two recipes' packed predictions of the same images: `other`
    is the reference. Without scores on both sides there is no `score_shift`.

    Raises:
        ValueError: the two are not of the same images.
    """
    from pytest_perfgate.tasks.panoptic.data import Segment

    if not np.array_equal(ours["shapes"], other["shapes"]):
        raise ValueError(f"{len(ours['shapes'])} and {len(other['shapes'])} images")
    common, both, shift, counted = np.zeros((4, len(ours["shapes"])))
    scored = "scores" in ours and "scores" in other
    for index, (left, right) in enumerate(zip(unpack(ours), unpack(other), strict=True)):
        segments = [Segment(row + 1, int(kind)) for row, kind in enumerate(right.categories)]
        pairs = match(right.map(), segments, left.map(), left.categories).pairs
        common[index] = 2 * len(pairs)
        both[index] = len(left.categories) + len(right.categories)
        if left.scores is None or right.scores is None:
            continue
        rows = [row for row, _ in pairs]
        columns = [column for _, column in pairs]
        shift[index] = np.abs(left.scores[columns].astype(np.float64) - right.scores[rows]).sum()
        shift[index] += np.delete(left.scores, columns).sum() + np.delete(right.scores, rows).sum()
        counted[index] = both[index] - len(pairs)
    sums = {"agreement": (common, both)}
    return sums | {"score_shift": (shift, counted)} if scored else sums
