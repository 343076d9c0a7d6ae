"""Frames through a pipeline and a session in their order; what one leaves goes to the next."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pytest_perfgate.state import with_states

if TYPE_CHECKING:
    from pytest_perfgate.inputs import Inputs
    from pytest_perfgate.runtimes import InferenceSession
    from pytest_perfgate.tasks import Pipeline, Task


@dataclass(frozen=True)
class FrameTurn:
    """One frame through all stages.

    Attributes:
        preprocess, inference, postprocess: seconds.
        outputs: of its inference, states included.
        predictions: one per sequence.
    """

    preprocess: float
    inference: float
    postprocess: float
    outputs: tuple[Any, ...]
    predictions: list[Any]

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return self.preprocess + self.inference + self.postprocess


class FrameRun:
    """Sequences, one or several side by side: `begin`, then frames in order. A task whose images
    stand alone begins at each of them.
    """

    def __init__(self, pipeline: Pipeline, session: InferenceSession) -> None:
        self._pipeline = pipeline
        self._session = session
        self._carried: Mapping[str, Any] = {}

    def begin(self, sequences: int = 1) -> None:
        """New sequences: nothing of earlier frames is left."""
        self._carried = {}
        self._pipeline.begin(sequences)

    def prepare(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """The inputs of the next frames, uint8 (H, W, 3) of each sequence, with what the last ones
        left; and the data that post-processing needs.

        Raises:
            InputError: a state does not fit.
        """
        inputs, meta = self._pipeline.preprocess(images)
        return with_states(inputs, self._carried), meta

    def infer(self, inputs: Inputs) -> tuple[Any, ...]:
        """The outputs for inputs of `prepare`; their states go to the next frames.

        Raises:
            InputError: a state does not fit.
        """
        outputs = self._session.run(inputs)
        self._carried = self._pipeline.carried(outputs, inputs)
        return outputs

    def step(self, images: Sequence[Any], *, begins: int = 0) -> FrameTurn:
        """The next frames through all stages, timed. `begins`: new sequences begin with them, so
        many; that is part of the time.
        """
        clock = time.perf_counter
        start = clock()
        if begins:
            self.begin(begins)
        inputs, meta = self.prepare(images)
        ready = clock()
        outputs = self.infer(inputs)
        done = clock()
        predictions = self._pipeline.postprocess(outputs, meta)
        end = clock()
        return FrameTurn(ready - start, done - ready, end - done, outputs, predictions)


def starts_of(task: Task, data: Any) -> frozenset[int]:
    """The images of `data` with which a sequence begins: all, where each stands alone."""
    if not task.in_order:
        return frozenset(range(len(data.images)))
    return frozenset((0, *accumulate(data.sequences[:-1])))
