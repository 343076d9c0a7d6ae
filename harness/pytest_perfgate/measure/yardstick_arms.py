"""The yardsticks' arms in a suite's launches, and what they have measured so far."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.yardsticks import LENGTHS, SHORTEST, measured_lengths
from pytest_perfgate.worker.protocol import YARDSTICK, ArmFailed, ArmMeasured, ArmSpec

_THIN = 4
"""It takes as long as an arm, and none of its turns is compared with another arm's."""


class Yardsticks:
    """That of the cores, and one for each GPU that recipes run on.

    Attributes:
        cores: launches of the cores' yardstick.
        devices: launches of the GPUs', by UUID.
        lacking: why a GPU has none, "" while it is not known to lack one.
        every: that of the cores takes its turns in every so many visits of a launch.
    """

    def __init__(self) -> None:
        self.cores: list[Launch] = []
        self.devices: dict[str, list[Launch]] = {}
        self.lacking = ""
        self.every = 1
        self._stored = SHORTEST

    def thin(self) -> None:
        """Leaves most of the launches' time to the recipes: no verdict of the session goes through
        the yardstick. It stays as the measure of this session beside others.
        """
        self.every = _THIN

    def correct_also(self, pieces: Iterable[int]) -> None:
        """Lengths to measure besides: those that stored times were stored with."""
        self._stored = max([SHORTEST, *(length for length in pieces if length in LENGTHS)])

    @property
    def longest(self) -> int:
        """The longest of the cores' yardstick: as in the first launch, so that all have it."""
        return max([self._stored, *measured_lengths(self.cores[:1])])

    @property
    def paced(self) -> bool:
        """Whether the next launch is the first, which finds out how long the arms' turns are."""
        return not self.cores

    def arms(self, threads: int, gpus: Iterable[str]) -> list[ArmSpec]:
        """Their arms beside recipes on these GPUs."""
        cores = ArmSpec(YARDSTICK, sys.executable, threads)
        if self.lacking:
            return [cores]
        devices = (
            ArmSpec(f"{YARDSTICK} {gpu}", sys.executable, threads, gpu=gpu)
            for gpu in dict.fromkeys(gpus)
        )
        return [cores, *devices]

    def hears(self, event: ArmMeasured | ArmFailed) -> bool:
        """Keeps what is said of a yardstick; False: it is of another arm."""
        if not event.label.startswith(YARDSTICK):
            return False
        gpu = event.label.removeprefix(YARDSTICK).strip()
        if isinstance(event, ArmMeasured):
            (self.devices.setdefault(gpu, []) if gpu else self.cores).append(event.launch)
        elif gpu:  # not tried again: it costs a start of CUDA
            self.lacking = event.failure.problem
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of them."""
        return (f"times on a GPU have no yardstick: {self.lacking}",) if self.lacking else ()
