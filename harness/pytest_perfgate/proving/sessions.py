"""Sessions with a fault, around a session that is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.proving.stages import burn
from pytest_perfgate.records.recipe import PlantedFault
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.runtimes.wrapping_session import WrappingSession

if TYPE_CHECKING:
    pass

EVERY = 20
"""One inference in so many is slow."""

ILL = 10
"""The number of the inference whose outputs are not finite, from 1 on."""


def plant_in_session(session: InferenceSession, planted: PlantedFault) -> InferenceSession:
    """The session with the fault; as it is where the fault lies elsewhere."""
    wrapper = SESSIONS.get(planted.name)
    return session if wrapper is None else wrapper(session, planted.size)


class PlantedSession(WrappingSession):
    """A session with a fault.

    Args:
        session: the one that works.
        size: of the fault, in seconds or bytes.
    """

    def __init__(self, session: InferenceSession, size: float) -> None:
        super().__init__(session)
        self._size = size


class Slow(PlantedSession):
    """Each image takes `size` seconds longer."""

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        outputs = self._session.run(inputs)
        burn(self._size * len(inputs))
        return outputs


class OneInTwentySlow(PlantedSession):
    """Every twentieth inference takes `size` seconds longer."""

    _count = 0

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        self._count += 1
        outputs = self._session.run(inputs)
        burn(self._size if self._count % EVERY == 0 else 0.0)
        return outputs


class FirstSlow(PlantedSession):
    """The first inference takes `size` seconds longer."""

    _begun = False

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        burn(0.0 if self._begun else self._size)
        self._begun = True
        return self._session.run(inputs)


class SlowLoad(PlantedSession):
    """Opening takes `size` seconds longer."""

    def __init__(self, session: InferenceSession, size: float) -> None:
        super().__init__(session, size)
        burn(size)


class Leak(PlantedSession):
    """A copy of every input stays in memory."""

    def __init__(self, session: InferenceSession, size: float) -> None:
        super().__init__(session, size)
        self._kept: list[Any] = []

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        self._kept.append(inputs.images.copy())
        return self._session.run(inputs)


class MoreMemory(PlantedSession):
    """`size` bytes more, written once, so that they are resident."""

    def __init__(self, session: InferenceSession, size: float) -> None:
        import numpy as np

        super().__init__(session, size)
        self._held = np.ones(int(size), dtype=np.uint8)


class FrozenBatch(PlantedSession):
    """An artifact that takes one image at a time."""

    def __init__(self, session: InferenceSession, size: float) -> None:
        super().__init__(session, size)
        self.fixed_batch = 1

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        if len(inputs) != 1:
            raise RuntimeFault(f"the artifact takes one image, and was given {len(inputs)}")
        return self._session.run(inputs)


class CachedAnswers(PlantedSession):
    """Answers are kept by a digest of their inputs."""

    def __init__(self, session: InferenceSession, size: float) -> None:
        super().__init__(session, size)
        self._answers: dict[bytes, tuple[Any, ...]] = {}

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        key = hashlib.blake2b(inputs.images.tobytes(), digest_size=16).digest()
        if key not in self._answers:
            self._answers[key] = self._session.run(inputs)
        return self._answers[key]


class StaleAnswers(PlantedSession):
    """An inference gives the outputs of the one before, where their shapes agree."""

    def __init__(self, session: InferenceSession, size: float) -> None:
        super().__init__(session, size)
        self._last: tuple[Any, ...] = ()

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        outputs = self._session.run(inputs)
        last, self._last = self._last, outputs
        alike = [array.shape for array in last] == [array.shape for array in outputs]
        return last if alike else outputs


class NotFinite(PlantedSession):
    """The outputs of the tenth inference are NaN."""

    _count = 0

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        import numpy as np

        self._count += 1
        outputs = self._session.run(inputs)
        if self._count != ILL:
            return outputs
        return tuple(
            np.full_like(array, np.nan) if array.dtype.kind == "f" else array for array in outputs
        )


SESSIONS: Mapping[str, type[PlantedSession]] = MappingProxyType(
    {
        "slow_inference": Slow,
        "slow_inference_5_percent": Slow,
        "one_in_twenty_slow": OneInTwentySlow,
        "first_inference_slow": FirstSlow,
        "load_slow": SlowLoad,
        "leak": Leak,
        "memory_20_percent": MoreMemory,
        "frozen_batch": FrozenBatch,
        "answers_cached": CachedAnswers,
        "stale_answers": StaleAnswers,
        "not_finite": NotFinite,
    }
)
