"""Runtimes: what executes an artifact, in a file of its own each, found by entry point.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytest_perfgate.registry import Requirement

if TYPE_CHECKING:
    from pytest_perfgate.artifact import Artifact, OptionsModel
    from pytest_perfgate.records.profile import Operator


DEVICE_UUID = "device_uuid"
"""The fact that a session on a GPU tells which it is by, as NVML and CUDA name it; a list where
the work is on several."""


def on_device(facts: Mapping[str, Any]) -> bool:
    """Whether these facts are of a session on a GPU that NVML knows."""
    return bool(uuids_of(facts))


def uuids_of(facts: Mapping[str, Any]) -> list[str]:
    """The GPUs that these facts are of."""
    told = facts.get(DEVICE_UUID) or []
    return [told] if isinstance(told, str) else [str(each) for each in told]


@dataclass(frozen=True)
class OpenContext:
    """How a session is to be opened: `threads` it may use, a `folder` it may write caches to."""

    threads: int
    folder: Path


class InferenceSession(Protocol):
    """An opened artifact, ready to run.

    Attributes:
        facts: what the runtime says of itself, as really used: provider or device, precision,
            threads, version. Values are plain JSON data.
    """

    facts: dict[str, Any]

    # A session on a device may have more, and each is asked for where it is there:
    #   device_seconds() -> float       seconds of the last run on the device, between events around
    #                                   the network's own work; NaN: not measured
    #   peak_device_memory() -> int     the most that its allocator held, in bytes, or None
    #   flush_cache() -> None           puts the device's L2 cache out of use, and waits for it
    # Its facts have `DEVICE_UUID`: sensors are read of the device of that name.

    def run(self, batch: Any) -> tuple[Any, ...]:
        """The network's outputs for `batch`, float32 (N, 3, H, W), as numpy arrays."""
        ...

    def close(self) -> None:
        """Frees what the session holds."""
        ...


@runtime_checkable
class Profiles(Protocol):
    """What an inference session has besides, when its runtime has a profiler."""

    profiler: str  # its name, for people

    def profile(self, batch: Any, count: int) -> list[Operator]:
        """Where the time of an inference of `batch` goes, over `count` of them: one row for every
        operator, `calls` and `seconds` per inference, each second in one row only.
        """
        ...


class Runtime(Protocol):
    """A way to execute an artifact.

    Attributes:
        name: as written in a suite file.
        Options: its options, checked before any work starts.
        accepts: kinds of artifact.
        requires: packages it imports.
        preload: modules that the parent of a launch imports before it forks the arms; importing
            them must touch no device, and leave the process fit to be forked.
    """

    name: str
    Options: type[OptionsModel]
    accepts: frozenset[str]
    requires: tuple[Requirement, ...]
    preload: tuple[str, ...]

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> InferenceSession:
        """A session on `artifact`.

        Raises:
            RuntimeFault: the artifact does not load, or the device asked for was not used.
        """
        ...
