"""What people should know of how arms were measured, from what their launches say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pytest_perfgate.records.input_messages import FilesRead
from pytest_perfgate.units import count_of
from pytest_perfgate.worker.protocol import ArmMeasured


class ArmNotes:
    """Tracers that were at work in arms, runs of theirs that were repeated, and what they read."""

    def __init__(self) -> None:
        self._instruments: dict[str, set[str]] = {}
        self._read: dict[str, frozenset[str]] = {}
        self._repeated: dict[str, tuple[int, int, str]] = {}

    def hear(self, event: ArmMeasured) -> None:
        """Notes what a launch says of an arm."""
        for instrument in event.instruments:
            self._instruments.setdefault(instrument, set()).add(event.label)
        count, why = event.repeated
        if count:
            runs, launches, _ = self._repeated.get(event.label, (0, 0, ""))
            self._repeated[event.label] = runs + count, launches + 1, why

    def hear_read(self, event: FilesRead) -> None:
        """Notes what an arm has read in a launch that measures memory."""
        self._read[event.label] = (self.read(event.label) or frozenset()).union(event.names)

    def read(self, label: str) -> frozenset[str] | None:
        """Names of what an arm has read; None: no launch has told."""
        return self._read.get(label)

    def lines(self, names: Callable[[set[str]], str]) -> Iterator[str]:
        """In words.

        Args:
            names: the recipes of labels, for people.
        """
        # They slow processes down, and could not be kept out of those of the arms.
        for instrument, labels in self._instruments.items():
            yield f"suspect: {instrument} was at work in the measured processes of {names(labels)}"
        for label, (runs, launches, why) in self._repeated.items():
            times = count_of(launches, "launch", "launches")
            yield f"{label}: {count_of(runs, 'run')} repeated in {times}; the last because {why}"
