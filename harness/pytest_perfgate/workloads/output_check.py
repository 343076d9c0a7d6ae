"""What is timed is what is scored: outputs of timed inferences beside the evaluated ones.

All of it lies outside the clock, between turns. What a launch shows at once is raised in the turn;
the rest, which takes many turns, at the launch's end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.workloads.batch_outputs import (
    refuse_any_not_finite,
    refuse_copies,
    refuse_not_finite,
)
from pytest_perfgate.workloads.evaluated_outputs import (
    EvaluatedImage,
    EvaluatedOutputs,
    digest_predictions,
)
from pytest_perfgate.workloads.output_comparison import (
    Gap,
    compare,
    compare_varied,
    described,
    finished_arrays,
    same_values,
    with_tolerance,
)
from pytest_perfgate.workloads.turn_times import TurnTimes
from pytest_perfgate.workloads.varied_images import (
    EVALUATED,
    ROUNDS,
    VARIED,
    VariedImages,
)

_SPREADS = 3.0  # times the spread of repeated inferences that a timed one may differ by
_MOST_SPREAD = 0.5  # beyond it any output would do
_MOVES = 4.0  # times a variation's effect, measured at evaluation, that one may have when timed
_LEAST_MOVE, _MOST_MOVE = 0.03, 0.5
"""Bounds of that. Root mean squares of the demo suites: variations up to 0.007 in float32 and up to
0.03 in 8 bits; the nearest of eleven other images 0.07 to 0.5."""
_MOST_OF_BATCH = 0.5  # how far a value of an image in a batch may be from that of the image alone
_FEWEST_VARIED = 6  # variations before it counts that none changed an output

_LOOK = (
    "look for what differs between evaluating and timing: environment variables, threads, a state "
    "that the model keeps between inferences, an early exit"
)


class OutputCheck:
    """Gives turns their images, and looks at their outputs.

    Args:
        images: those that an arm cycles through, uint8 (H, W, 3) each.
        evaluated: their outputs at evaluation; None: only the types of outputs are looked at.
        pack: a task's `pack`.
        tolerance: the recipe's `output_tolerance`.
    """

    def __init__(
        self,
        images: Sequence[Any],
        evaluated: EvaluatedOutputs | None = None,
        pack: Callable[[Sequence[Any]], dict[str, Any]] = lambda _: {},
        tolerance: float = 0.0,
    ) -> None:
        self._images = VariedImages(images)
        self._evaluated = evaluated
        kept = evaluated.images if evaluated else ()
        self._positions = {image.index: position for position, image in enumerate(kept)}
        self._pack = pack
        self._tolerance = tolerance
        self._varied: tuple[int, list[Any]] | None = None
        self._moves: list[Gap] = []
        self._unmoved: list[bool] = []
        self._times = TurnTimes()

    def image(self, number: int) -> Any:
        """The image of a turn, uint8 (H, W, 3); the next turn may change it."""
        self._times.begin()
        return self._images.image(number)

    def batch(self, number: int, size: int) -> list[Any]:
        """The images of a turn that is a batch, uint8 (H, W, 3) each; the next turn may change
        them. Those of the kind `EVALUATED` are as they are, all others are varied.
        """
        variation = 0 if number % ROUNDS == EVALUATED else 1 + number
        self._times.begin()
        return [self._images.varied(index, variation) for index in self._batch(number, size)]

    def _batch(self, number: int, size: int) -> list[int]:
        """The indices of a batch's images."""
        return [(number * size + place) % len(self._images) for place in range(size)]

    @property
    def length(self) -> int:
        """Frames of each of the sequences that the images of turns are; 0: images stand alone."""
        return 0 if self._evaluated is None else self._evaluated.length

    def frames(self, number: int, sequences: int) -> Iterator[tuple[list[int], list[Any]]]:
        """The frames of a turn that takes sequences side by side, one after the other: positions
        of one frame of each sequence, and the images, uint8 (H, W, 3) each, which the next turn may
        change. Those of the kind `EVALUATED` are as they are, all others are varied.
        """
        length = self.length or len(self._images)
        count = len(self._images) // length
        first = number // ROUNDS * sequences
        starts = [(first + place) % count * length for place in range(sequences)]
        variation = 0 if number % ROUNDS == EVALUATED else 1 + number
        self._times.begin()
        for frame in range(length):
            positions = [start + frame for start in starts]
            yield positions, [self._images.varied(position, variation) for position in positions]

    def forget(self) -> None:
        """Forgets the turns so far: they were a warm-up."""
        self._varied = None
        self._moves.clear()
        self._unmoved.clear()
        self._times = TurnTimes()

    def inspect(
        self,
        number: int,
        outputs: Sequence[Any],
        predictions: Sequence[Any],
        again: Callable[[], Sequence[Any]],
        seconds: float,
    ) -> None:
        """Looks at a turn that is over.

        Args:
            number: of the turn.
            outputs: of its inference.
            predictions: what its post-processing made of them.
            again: post-processes the same outputs once more.
            seconds: of the inference.

        Raises:
            RuntimeFault: an output is no array that is finished, or not the evaluated one.
        """
        arrays = finished_arrays(outputs)
        self._times.note(number, seconds)
        kind = number % ROUNDS
        if self._evaluated is None or kind not in {VARIED, EVALUATED}:
            return
        image = self._evaluated.images[self._images.index(number)]
        if kind == VARIED:
            self._moves.append(compare_varied(image.outputs, arrays, self._most_moved()))
            self._varied = number, image.taken(arrays)
        else:
            self._refuse_other(image, arrays, predictions, again)
            if self._varied is not None and self._varied[0] == number - 1:
                self._unmoved.append(same_values(self._varied[1], image.taken(arrays)))

    def inspect_batch(
        self,
        number: int,
        size: int,
        outputs: Sequence[Any],
        seconds: float = math.nan,
        places: Sequence[int] | None = None,
    ) -> None:
        """Looks at a turn with a batch; NaN `seconds`: it is no part of a series of turns. `places`
        of the batch are those that the outputs are of; None: all.

        Images of a batch may have other outputs than alone: activations that are quantized by the
        range of a whole batch. So half of the images may differ, the others by up to
        `_MOST_OF_BATCH` in a value, or as little as variations of an image do. None may lose its
        numbers, or have the answer of another image (`batch_outputs`).

        Raises:
            RuntimeFault: an output is no array that is finished, or is not of these images.
        """
        arrays = finished_arrays(outputs)
        if not math.isnan(seconds):
            self._times.note(number, seconds)
        if number % ROUNDS == EVALUATED:
            positions = self._batch(number, size)
            shown = positions if places is None else [positions[place] for place in places]
            self._refuse_other_batch(shown, arrays)

    def inspect_frames(
        self,
        number: int,
        positions: Sequence[Sequence[int]],
        outputs: Sequence[Sequence[Any]],
        seconds: float,
    ) -> None:
        """Looks at a turn with sequences, from their first frames on.

        Args:
            number: of the turn.
            positions: of `frames`.
            outputs: of the inference of each frame, states included.
            seconds: of all inferences.

        Raises:
            RuntimeFault: an output is no array that is finished, or is not of these frames.
        """
        arrays = [finished_arrays(of_frame) for of_frame in outputs]
        self._times.note(number, seconds)
        kind = number % ROUNDS
        if kind == EVALUATED:
            for shown, of_frame in zip(positions, arrays, strict=True):
                self.inspect_shown(shown, of_frame)
        if self._evaluated is None or len(positions[0]) > 1:
            return
        # A first frame has no state: it moves as far as it did when variations were tried.
        image, first = self._evaluated.images[positions[0][0]], arrays[0]
        if kind == VARIED:
            self._moves.append(compare_varied(image.outputs, first, self._most_moved()))
            self._varied = number, image.taken(first)
        elif kind == EVALUATED and self._varied is not None and self._varied[0] == number - 1:
            self._unmoved.append(same_values(self._varied[1], image.taken(first)))

    def position(self, validation_image: int) -> int | None:
        """Where this image of the validation data is among the images of turns; None: nowhere, or
        nothing was evaluated.
        """
        return self._positions.get(validation_image)

    def inspect_shown(self, positions: Sequence[int | None], outputs: Sequence[Any]) -> None:
        """Looks at an inference of images as they are, of a workload that chooses them itself.

        Args:
            positions: of the images of the batch, among those of turns; None: none of them.
            outputs: of the inference.

        Raises:
            RuntimeFault: an output is no array that is finished, or is not of these images.
        """
        arrays = finished_arrays(outputs)
        if self._evaluated is None:
            return
        if len(positions) > 1:
            self._refuse_other_batch(positions, arrays)
        elif positions[0] is not None:
            self._refuse_other_output(self._evaluated.images[positions[0]], arrays)

    def _refuse_other_batch(self, positions: Sequence[int | None], arrays: Sequence[Any]) -> None:
        """Check that all images of a batch have numbers for outputs, none of them another's, and
        most of them the outputs that were evaluated.
        """
        size = len(positions)
        # Outputs that are not one row per image, as some suppressions of boxes give them, cannot be
        # told apart.
        if self._evaluated is None:
            return
        if size > 1 and any(len(array) != size for array in arrays):
            known = [self._evaluated.images[at] for at in positions if at is not None]
            if len(known) == size:
                refuse_any_not_finite(known, arrays, size, _LOOK)
            return
        limit = max(_MOST_OF_BATCH, self._limit())
        gaps, shown = [], []
        for row, position in enumerate(positions):
            if position is None:
                continue
            image = self._evaluated.images[position]
            rows = [array[row : row + 1] for array in arrays] if size > 1 else arrays
            refuse_not_finite(image, rows, size, _LOOK)
            shown.append((image, rows))
            gap = compare(image.outputs, rows, limit)
            if gap.value > limit:
                near = compare_varied(image.outputs, rows, self._most_moved())
                gap = Gap(limit) if near.value <= self._most_moved() else gap
            gaps.append((gap, image.index))
        if not gaps:
            return
        refuse_copies(shown, self._evaluated, size, _LOOK)
        gap, image_index = sorted(gaps, key=lambda pair: pair[0].value)[(len(gaps) - 1) // 2]
        if gap.value > limit:
            raise RuntimeFault(
                f"the timed output of a batch of {size} is not the evaluated one: at least half of "
                f"its images differ, as validation image {image_index}, {described(gap)}; allowed "
                f"is {limit:.2g}",
                next_step=_LOOK + with_tolerance(gap),
            )

    def conclude(self) -> None:
        """Looks at all turns since `forget`.

        Raises:
            RuntimeFault: outputs are not those of the images shown, or known inputs are answered
                without an inference.
        """
        if self._evaluated is not None and self._moves:
            self._refuse_foreign(self._moves)
        if self._evaluated is not None and self._evaluated.responds:
            self._refuse_unmoved()
        self._times.conclude()

    def _limit(self) -> float:
        """How far timed outputs may be from the evaluated ones.

        Raises:
            RuntimeFault: repeated inferences differ so much that any output would do.
        """
        spread = 0.0 if self._evaluated is None else self._evaluated.spread
        if _SPREADS * spread > max(_MOST_SPREAD, self._tolerance):
            raise RuntimeFault(
                f"two inferences of one image differ by {spread:.2g} of the largest value, so that "
                "timed outputs cannot be compared with the evaluated ones",
                next_step="make inference repeatable (evaluation mode, a fixed seed), or set "
                f"output_tolerance = {_SPREADS * spread:.2g} in the recipe",
            )
        return max(self._tolerance, _SPREADS * spread)

    def _most_moved(self) -> float:
        """The root mean square that a variation may have; inf: honest ones had so much that other
        images could not be told from them.
        """
        moved = 0.0 if self._evaluated is None else self._evaluated.moved
        if moved > _MOST_MOVE:
            return math.inf
        return max(min(max(_LEAST_MOVE, _MOVES * moved), _MOST_MOVE), self._limit())

    def _refuse_other(
        self,
        image: EvaluatedImage,
        arrays: Sequence[Any],
        predictions: Sequence[Any],
        again: Callable[[], Sequence[Any]],
    ) -> None:
        """Check that an image has the outputs and the predictions that were evaluated."""
        self._refuse_other_output(image, arrays)
        timed = digest_predictions(self._pack(predictions))
        if timed == image.predictions:
            return
        # They may differ as the outputs do, but post-processing has read the outputs as they are.
        # Where it does not repeat by itself, nothing can be said.
        first, second = (digest_predictions(self._pack(again())) for _ in range(2))
        if timed != first == second:
            raise RuntimeFault(
                f"the outputs changed after the timed call: for validation image {image.index} "
                "post-processing gave one prediction when it was timed, and another afterwards",
                next_step="wait in the session's run() until all outputs are computed",
            )

    def _refuse_other_output(self, image: EvaluatedImage, arrays: Sequence[Any]) -> None:
        """Check that an image alone has the outputs that were evaluated."""
        limit = self._limit()
        strays = self._evaluated is not None and self._evaluated.spread > 0
        gap = compare(image.outputs, arrays, limit, strays=strays)
        if gap.value > limit:
            raise RuntimeFault(
                f"the timed output is not the evaluated one: validation image {image.index}, "
                f"{described(gap)}; allowed is {limit:.2g}",
                next_step=_LOOK + with_tolerance(gap),
            )

    def _refuse_foreign(self, moves: Sequence[Gap]) -> None:
        """Check that images that are varied have outputs near those of the images as they are."""
        limit = self._most_moved()
        middle = sorted(moves, key=lambda gap: gap.value)[(len(moves) - 1) // 2]
        if middle.value > limit:
            raise RuntimeFault(
                "timed outputs are not those of the images shown: for most images whose lowest "
                f"bits were changed, {described(middle, 'by root mean square')}; allowed is "
                f"{limit:.2g}",
                next_step=_LOOK + with_tolerance(middle),
            )

    def _refuse_unmoved(self) -> None:
        """Check that images that are varied have outputs of their own."""
        if len(self._unmoved) >= _FEWEST_VARIED and all(self._unmoved):
            raise RuntimeFault(
                f"timed outputs do not depend on the pixels: {len(self._unmoved)} images with "
                "changed lowest bits had exactly the outputs of the unchanged images, and when "
                "accuracy was evaluated each such change had changed them",
                next_step="remove the cache that answers by similar inputs",
            )
