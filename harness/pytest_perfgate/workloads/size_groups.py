"""Batches of pictures whose inputs have several sizes: one inference for each size.

A network of dynamic height and width takes inputs of any size, but one array holds one size. Which
images share an inference is found outside the clock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import SeveralSizes

if TYPE_CHECKING:
    from pytest_perfgate.runtimes import InferenceSession
    from pytest_perfgate.tasks import Pipeline

Group = tuple[int, ...]
"""Places in a batch of images that share an inference."""


class SizeGroups:
    """Which images of an arm have inputs of one size. The size follows from that of the image. An
    image in tiles has inferences of its own.

    Args:
        pipeline: prepares one image of each size beside the first one.
        images: those that an arm cycles through, uint8 (H, W, 3) each.
    """

    def __init__(self, pipeline: Pipeline, images: Sequence[Any]) -> None:
        self._alone = pipeline.in_tiles
        if self._alone:
            return
        sizes: dict[Any, Any] = {images[0].shape: None}  # None: that of the first image
        for image in images:
            if image.shape not in sizes:
                sizes[image.shape] = _other_size(pipeline, images[0], image)
        self._sizes = [sizes[image.shape] for image in images]

    def batch(self, first: int, size: int) -> tuple[Group, ...]:
        """The groups of `size` images from the image of that number on, which go round; each group
        in the batch's order.
        """
        if self._alone:
            return tuple((place,) for place in range(size))
        places: dict[Any, list[int]] = {}
        for place in range(size):
            places.setdefault(self._sizes[(first + place) % len(self._sizes)], []).append(place)
        return tuple(map(tuple, places.values()))


def _other_size(pipeline: Pipeline, first: Any, image: Any) -> tuple[int, ...] | None:
    """The size of an image's input, None for that of the first image's."""
    try:
        pipeline.preprocess([first, image])
    except SeveralSizes as error:
        return error.sizes[1]
    return None


@dataclass(frozen=True)
class BatchTurn:
    """A batch through all stages.

    Attributes:
        seconds: of all stages.
        inference: seconds of the inferences.
        outputs: of each group's inference.
    """

    seconds: float
    inference: float
    outputs: tuple[Sequence[Any], ...]


def run_batch(
    pipeline: Pipeline, session: InferenceSession, images: Sequence[Any], groups: Sequence[Group]
) -> BatchTurn:
    """Runs the groups of a batch one after the other, timed as one."""
    clock, inference, outputs = time.perf_counter, 0.0, []
    start = clock()
    for group in groups:
        inputs, meta = pipeline.preprocess([images[place] for place in group])
        ready = clock()
        outputs.append(session.run(inputs))
        inference += clock() - ready
        pipeline.postprocess(outputs[-1], meta)
    return BatchTurn(clock() - start, inference, tuple(outputs))
