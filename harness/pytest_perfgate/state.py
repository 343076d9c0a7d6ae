"""State of a recurrent network: outputs that are inputs of the next frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_perfgate.errors import InputError
from pytest_perfgate.inputs import Inputs

BATCH = "N"
"""Stands for the number of sequences side by side, in a shape."""


@dataclass(frozen=True)
class Feedback:
    """One output that is fed back.

    Attributes:
        output, input: their names.
        place: index of the output among all outputs; negative: from the end.
        shape: of the input; the first length may be `BATCH`. A shape without it holds the state of
            one sequence.
        value: of each element at the first frame of a sequence.
        dtype: of the input, by numpy's name.
    """

    output: str
    input: str
    place: int
    shape: tuple[int | str, ...]
    value: float = 0.0
    dtype: str = "float32"

    @property
    def by_sequence(self) -> bool:
        """Whether each of several sequences side by side has a state of its own."""
        return self.shape[:1] == (BATCH,)

    def initial(self, count: int) -> Any:
        """The state before the first frame of `count` sequences.

        Raises:
            InputError: the shape holds the state of one sequence, and there are more.
        """
        import numpy as np

        if count > 1 and not self.by_sequence:
            raise InputError(
                f"the state {self.input!r} has the shape ({_listed(self.shape)}), of one sequence; "
                f"it is given {count} side by side",
                where="suite.state",
                valid=f'a first dimension "{BATCH}", any batch in the network; or one sequence at '
                "a time",
            )
        lengths = (count, *self.shape[1:]) if self.by_sequence else self.shape
        return np.full(lengths, self.value, dtype=self.dtype)


class State:
    """What a network hands from a frame to the next."""

    def __init__(self, loops: Sequence[Feedback]) -> None:
        self._loops = tuple(loops)

    def begun(self, inputs: Inputs) -> Inputs:
        """Inputs of first frames: with the initial states behind the others.

        Raises:
            InputError: a state is of one sequence, and there are several images.
        """
        states = {loop.input: loop.initial(len(inputs)) for loop in self._loops}
        whole = {loop.input for loop in self._loops if not loop.by_sequence}
        return replace(
            inputs, others={**inputs.others, **states}, constants=inputs.constants | whole
        )

    def carried(self, outputs: Sequence[Any], inputs: Inputs) -> dict[str, Any]:
        """The states for the next frame, by the names of their inputs.

        Args:
            outputs: of a frame.
            inputs: that it had.

        Raises:
            InputError: an output is not there, or does not have the shape of its input.
        """
        states = {}
        for loop in self._loops:
            if not -len(outputs) <= loop.place < len(outputs):
                raise InputError(
                    f"the network has {len(outputs)} outputs, and {loop.output!r} would be number "
                    f"{loop.place}",
                    where=f"suite.state.{loop.output}",
                    valid="an output for each state, behind the results, in the order of "
                    "[suite.state]",
                )
            given, taken = outputs[loop.place], inputs.others[loop.input]
            if given.shape != taken.shape:
                raise InputError(
                    f"the output {loop.output!r} has the shape ({_listed(given.shape)}), and the "
                    f"input {loop.input!r} takes ({_listed(taken.shape)})",
                    where=f"suite.state.{loop.output}",
                    valid="one shape for both",
                )
            states[loop.input] = given
        return states

    def results(self, outputs: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs that are no state, in their order."""
        states = {loop.place % len(outputs) for loop in self._loops}
        return tuple(one for place, one in enumerate(outputs) if place not in states)


def with_states(inputs: Inputs, states: Mapping[str, Any]) -> Inputs:
    """The inputs of a frame with the states that the one before has left."""
    return replace(inputs, others={**inputs.others, **states}) if states else inputs


def _listed(shape: Sequence[int | str]) -> str:
    return ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
