"""Whether whoever answers requests keeps answers by their inputs.

Requests of a run come round to the same images again and again, so that kept answers would be timed
in place of inferences. Beside a run, inputs that nobody has seen take turns with themselves once
more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pytest_perfgate.inputs import Inputs, joined
from pytest_perfgate.workloads.turn_times import TurnTimes
from pytest_perfgate.workloads.varied_images import REPEATED, ROUNDS, VARIED

_VISITS = 5


def refuse_kept_answers(
    run: Callable[[Inputs], object],
    preprocess: Callable[[Sequence[Any]], Inputs],
    images: Sequence[Any],
    size: int,
) -> None:
    """Sends some requests, one after the other. One that fails says nothing here: failures are
    counted where a run is measured.

    Args:
        run: infers one request.
        preprocess: images to one inference's inputs.
        images: uint8 (H, W, 3) each; they stay as they are.
        size: images in a request.

    Raises:
        RuntimeFault: an input that was just seen is answered in less than half the time of a new
            one.
    """
    # Not of the seed: a server that runs on has seen what other launches sent.
    generator = np.random.default_rng()
    times = TurnTimes()

    def fresh(visit: int) -> Inputs:
        chosen = (images[(visit * size + place) % len(images)] for place in range(size))
        return joined([preprocess([_moved(image, generator)]) for image in chosen])

    def turn(number: int, request: Inputs) -> None:
        times.begin()
        before = time.perf_counter()
        run(request)
        times.note(number, time.perf_counter() - before)

    for visit in range(_VISITS):
        new, again = fresh(visit), fresh(visit)
        first = visit * ROUNDS
        with contextlib.suppress(Exception):
            turn(first + VARIED, new)
            turn(first + ROUNDS + REPEATED, again)
            turn(first + ROUNDS + REPEATED, again)
    times.conclude()


def _moved(image: Any, generator: np.random.Generator) -> Any:
    """The image shifted by some pixels, its lowest bits drawn: as natural as it was, and new."""
    height, width = image.shape[:2]
    shift = int(generator.integers(height)), int(generator.integers(width))
    bits = generator.integers(0, 2, image.shape, dtype=np.uint8)
    return np.roll(image, shift, (0, 1)) ^ bits
