"""The stages around a recurrent network: a task's own, with states among inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_perfgate.inputs import Inputs
from pytest_perfgate.state import Feedback, State
from pytest_perfgate.tasks import Pipeline


class StatefulPipeline(Pipeline):
    """A task's pipeline whose inputs have the initial states, and whose results have none.

    Attributes:
        inner: the task's own.
    """

    def __init__(self, inner: Pipeline, loops: Sequence[Feedback]) -> None:
        self.inner = inner
        self.in_tiles = inner.in_tiles
        self._state = State(loops)

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """The task's inputs, with the states before the first frame of a sequence."""
        inputs, meta = self.inner.preprocess(images)
        return self._state.begun(inputs), meta

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Any]:
        """What the task makes of the outputs that are no state."""
        return self.inner.postprocess(self._state.results(outputs), meta)

    def begin(self, sequences: int) -> None:
        """See `Pipeline.begin`."""
        self.inner.begin(sequences)

    def carried(self, outputs: tuple[Any, ...], inputs: Inputs) -> Mapping[str, Any]:
        """The states, see `State.carried`."""
        return self._state.carried(outputs, inputs)
