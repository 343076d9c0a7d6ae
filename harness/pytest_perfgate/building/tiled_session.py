"""A session that runs the tiles of a picture some at a time: one inference is all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.runtimes.wrapping_session import WrappingSession
from pytest_perfgate.tasks.pixels.tiles import TILES

if TYPE_CHECKING:
    from pytest_perfgate.inputs import Inputs
    from pytest_perfgate.records.counts import Graph
    from pytest_perfgate.records.profile import Operator


def tiled(session: InferenceSession, pixels: Mapping[str, Any]) -> InferenceSession:
    """The session as it is used with the keys of `[suite.input]`: as it is, or tile by tile."""
    if pixels.get("resize") != TILES:
        return session
    return TiledSession(session, int(pixels.get("tile_batch", 1)))


class TiledSession(WrappingSession):
    """Runs the inputs of a picture `count` at a time.

    Args:
        session: runs the network; what it says of itself holds.
        count: tiles that share a run. The last run of a network of a fixed batch is filled up with
            tiles again, whose outputs are dropped.

    Raises:
        RuntimeFault: the network has a fixed batch, and it is another one.
    """

    def __init__(self, session: InferenceSession, count: int) -> None:
        if session.fixed_batch not in {0, count}:
            raise RuntimeFault(
                f"tile_batch = {count}, and the model takes batches of {session.fixed_batch}",
                where="suite.input.tile_batch",
                valid=f"tile_batch = {session.fixed_batch}, or a model of any batch",
            )
        super().__init__(session)
        self.fixed_batch = 0  # a picture has as many tiles as it has
        self._count = count
        self._seconds = math.nan

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """The outputs of all tiles, joined.

        Raises:
            RuntimeFault: an output has no row for each tile.
        """
        import numpy as np

        parts = []
        self._seconds = 0.0
        for begin in range(0, len(inputs), self._count):
            rows = range(begin, min(begin + self._count, len(inputs)))
            outputs = self._session.run(self._chosen(inputs, rows))
            self._seconds += self._session.device_seconds()
            for output in outputs:
                if not output.ndim or len(output) < len(rows):
                    raise RuntimeFault(
                        f"an output of {len(rows)} tiles has the shape {tuple(output.shape)}: no "
                        "row for each tile",
                        where="suite.input.resize",
                        next_step="export the model with outputs that begin with the batch",
                    )
            parts.append([output[: len(rows)] for output in outputs])
        if len(parts) == 1:
            return tuple(parts[0])
        return tuple(np.concatenate(of_output) for of_output in zip(*parts, strict=True))

    def _chosen(self, inputs: Inputs, rows: range) -> Inputs:
        if len(rows) == len(inputs) and (not self._session.fixed_batch or len(rows) == self._count):
            return inputs
        some = inputs.take(rows)
        return some.repeated(self._count) if self._session.fixed_batch else some

    @override
    def profile(self, inputs: Inputs, count: int) -> list[Operator] | None:
        """Operators of one run, as often as a picture has runs."""
        rows = range(min(self._count, len(inputs)))
        operators = self._session.profile(self._chosen(inputs, rows), count)
        runs = -(-len(inputs) // self._count)
        if operators is None:
            return None
        return [
            one.model_copy(update={"calls": one.calls * runs, "seconds": one.seconds * runs})
            for one in operators
        ]

    @override
    def graph(self, inputs: Inputs) -> Graph | None:
        """The graph of a run; the multiply-adds are those of all runs of a picture."""
        total, known = 0, None
        for begin in range(0, len(inputs), self._count):
            rows = range(begin, min(begin + self._count, len(inputs)))
            if begin and len(rows) == self._count:  # as many as before
                total += (known.multiply_adds if known else None) or 0
                continue
            graph = self._session.graph(self._chosen(inputs, rows))
            if graph is None or graph.multiply_adds is None:
                return graph
            total += graph.multiply_adds
            known = known or graph
        return known.model_copy(update={"multiply_adds": total}) if known else None

    @override
    def device_seconds(self) -> float:
        """Those of all runs of the last picture."""
        return self._seconds
