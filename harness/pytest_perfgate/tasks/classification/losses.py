"""Finds the images whose classes or labels a recipe gives lower scores than its reference does.

A class stands for the whole picture: on the page its box is the picture's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.records.image_losses import SeenBox, WorseImage
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.losses import NOTICEABLE

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Named = tuple[npt.NDArray[Any], Bools]
"""Scores (N, C), and which classes are named by them."""


def best_only(scores: npt.NDArray[Any]) -> Named:
    """The class of each image is the first of the best ones, as `argmax` has it."""
    return scores, of_labels(scores.argmax(axis=1), scores.shape[1])


def of_labels(labels: Sequence[int] | npt.NDArray[Any], count: int) -> Bools:
    """The true class of each image as a row of `count` classes."""
    true = np.zeros((len(labels), count), dtype=bool)
    true[np.arange(len(labels)), [int(label) for label in labels]] = True
    return true


def worse_images(
    images: Sequence[Any],
    true: Bools,
    ours: Named,
    other: Named,
    names: Sequence[str],
    most: int,
    *,
    rows: Sequence[int] | None = None,
) -> list[WorseImage]:
    """The images in which `ours` lost most beside `other`, its reference's; worst first, at most
    `most`. An image's loss is the sum, over its true classes that the reference names, of what the
    score fell by; of a class that is no longer named all of it.

    Args:
        images: of the data.
        true: the true classes, (N, C).
        ours: of the same N images.
        other: the reference's.
        names: of the classes.
        most: images that are given, at most.
        rows: places of the N among the images; None: these are all.
    """
    after, before = (
        np.where(true & said, scores, 0.0).astype(np.float64) for scores, said in (ours, other)
    )
    losses = np.clip(before - after, 0.0, None).sum(axis=1)
    worst = [int(row) for row in np.argsort(-losses, kind="stable") if losses[row] >= NOTICEABLE]
    found = []
    for row in worst[:most]:
        image = row if rows is None else int(rows[row])
        frame = _whole(images[image])
        mine, theirs = (
            _named(true[row], scores[row], said[row], names, frame)
            for scores, said in (ours, other)
        )
        loss = round(float(losses[row]), 4)
        found.append(WorseImage(image=image, loss=loss, reference=theirs, recipe=mine))
    return found


def true_classes(
    images: Sequence[Any], index: int, true: Bools, names: Sequence[str]
) -> tuple[str, tuple[SeenBox, ...]]:
    """The file name of an image, "" for data of a function, and its true classes of `true` (C,), in
    the order of classes.
    """
    frame = _whole(images[index])
    name = images.file(index).name if isinstance(images, ImageFiles) else ""
    boxes = (SeenBox(box=frame, category=str(names[at])) for at in np.flatnonzero(true).tolist())
    return str(name), tuple(boxes)


def _whole(image: Any) -> tuple[float, float, float, float]:
    height, width = image.shape[:2]
    return 0.0, 0.0, float(width), float(height)


def _named(
    true: Bools,
    scores: npt.NDArray[Any],
    said: Bools,
    names: Sequence[str],
    frame: tuple[float, float, float, float],
) -> tuple[SeenBox, ...]:
    """The named classes of a row, the surest first."""
    objects = {int(place): index for index, place in enumerate(np.flatnonzero(true))}
    places = sorted(map(int, np.flatnonzero(said)), key=lambda place: -float(scores[place]))
    return tuple(
        SeenBox(
            box=frame,
            category=str(names[place]),
            score=round(min(1.0, max(0.0, float(scores[place]))), 4),
            object=objects.get(place),
        )
        for place in places
    )
