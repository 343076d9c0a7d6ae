"""A session around another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate.runtimes import InferenceSession

if TYPE_CHECKING:
    from pytest_perfgate.inputs import Inputs
    from pytest_perfgate.records.counts import Graph
    from pytest_perfgate.records.profile import Operator


class WrappingSession(InferenceSession):
    """Does what another session does; a class below it changes what it must.

    Args:
        session: the one around which this is; what it says of itself holds.
    """

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self.facts = session.facts
        self.fixed_batch = session.fixed_batch
        self.profiler = session.profiler

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        return self._session.run(inputs)

    @override
    def close(self) -> None:
        """See `InferenceSession.close`."""
        self._session.close()

    @override
    def profile(self, inputs: Inputs, count: int) -> list[Operator] | None:
        """See `InferenceSession.profile`."""
        return self._session.profile(inputs, count)

    @override
    def graph(self, inputs: Inputs) -> Graph | None:
        """See `InferenceSession.graph`."""
        return self._session.graph(inputs)

    @override
    def device_seconds(self) -> float:
        """See `InferenceSession.device_seconds`."""
        return self._session.device_seconds()

    @override
    def peak_device_memory(self) -> int | None:
        """See `InferenceSession.peak_device_memory`."""
        return self._session.peak_device_memory()

    @override
    def peak_server_memory(self) -> int | None:
        """See `InferenceSession.peak_server_memory`."""
        return self._session.peak_server_memory()

    @override
    def flush_cache(self) -> bool:
        """See `InferenceSession.flush_cache`."""
        return self._session.flush_cache()
