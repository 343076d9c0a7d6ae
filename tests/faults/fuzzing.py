"""Damaged files for a reader: which it read, which it refused, and what it must not do.

A reader must read a file or refuse it with a `PerfgateError`, in the time that its format has.
"""

from __future__ import annotations

import contextlib
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from pytest_perfgate.errors import PerfgateError

Damage = Callable[[Random, bytes], bytes]


@dataclass(frozen=True)
class Format:
    """A kind of file that comes from outside.

    Attributes:
        name: for the table.
        samples: whole files, which are damaged.
        damage: a damaged copy of a sample.
        read: reads a file of these bytes in a folder of its own; raises `PerfgateError` where it
            refuses it.
        seconds: that one file may take.
    """

    name: str
    samples: Callable[[], list[bytes]]
    damage: Damage
    read: Callable[[bytes, Path], None]
    seconds: float = 5.0


@dataclass(frozen=True)
class Finding:
    """A file that was neither read nor refused in time."""

    number: int
    problem: str


@dataclass
class Outcome:
    """What became of the damaged files of a format.

    Attributes:
        slowest: seconds of the file that took longest.
    """

    format: str
    seconds: float
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    findings: list[Finding] = field(default_factory=list)


class TooLong(BaseException):
    """A reader took longer than its format may; no `except Exception` of its own takes it."""


def damaged(form: Format, number: int, samples: list[bytes], seed: int = 0) -> bytes:
    """The file with that number; the same for the same seed."""
    random = Random(f"{form.name} {seed} {number}")  # noqa: S311 - no secret
    return form.damage(random, samples[number % len(samples)])


def fuzz(form: Format, count: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Reads `count` damaged files; nothing is raised."""
    outcome = Outcome(form.name, form.seconds)
    samples = form.samples()
    for number in range(count):
        content = damaged(form, number, samples, seed)
        place = folder / f"{form.name.split()[0]}-{number}"
        place.mkdir(parents=True)
        start = time.monotonic()
        try:
            with _limited(4 * form.seconds):
                form.read(content, place)
            outcome.read += 1
        except PerfgateError as error:
            outcome.refused += 1
            if "Traceback (" in str(error):
                outcome.findings.append(Finding(number, f"a traceback in the message: {error}"))
        except TooLong:
            outcome.findings.append(Finding(number, f"no answer in {4 * form.seconds:.0f} s"))
        except Exception:  # noqa: BLE001 - this is what is looked for
            outcome.findings.append(Finding(number, traceback.format_exc(limit=-6)))
        seconds = time.monotonic() - start
        outcome.slowest = max(outcome.slowest, seconds)
        if form.seconds < seconds < 4 * form.seconds:
            outcome.findings.append(Finding(number, f"it took {seconds:.1f} s"))
    return outcome


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
