"""Errors for users: the place, the value, the valid values, the next command."""

from __future__ import annotations

import bisect
import difflib
import itertools
from collections.abc import Iterable, Sequence

from pytest_perfgate.plain_text import printable, received


class PerfgateError(Exception):
    """A problem that a user can act on.

    Attributes:
        problem: what is wrong, in one sentence.
        where: the file, and the key or line inside it.
        valid: what would have been accepted.
        next_step: the next thing to do, a command where there is one.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        valid: str = "",
        next_step: str = "",
    ) -> None:
        # Texts of workers, libraries and file names: one of them must not lose the whole report.
        self.problem = received(problem)
        self.where = received(where)
        self.valid = received(valid)
        self.next_step = received(next_step)
        super().__init__(self.problem)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.problem}" if self.where else self.problem]
        if self.valid:
            lines.append(f"  valid: {self.valid}")
        if self.next_step:
            lines.append(f"  next:  {self.next_step}")
        return printable("\n".join(lines))  # names in it are of whoever chose them

    def at(self, where: str) -> PerfgateError:
        """The same error, placed: `where` goes in front of what is known of the place."""
        place = f"{where}: {self.where}" if self.where else where
        return type(self)(self.problem, where=place, valid=self.valid, next_step=self.next_step)


class RecipeError(PerfgateError):
    """A suite or recipe that cannot be read."""


class DataError(PerfgateError):
    """Images or annotations that cannot be used."""


class SeveralSizes(DataError):
    """Images of one batch whose inputs have different sizes; `sizes` has that of each image."""

    def __init__(
        self,
        problem: str,
        *,
        sizes: Sequence[tuple[int, ...]] = (),
        where: str = "",
        valid: str = "",
        next_step: str = "",
    ) -> None:
        self.sizes = tuple(sizes)
        super().__init__(problem, where=where, valid=valid, next_step=next_step)


class FetchError(PerfgateError):
    """A location whose files cannot be fetched, or have other content than the lock file says."""


class BuildError(PerfgateError):
    """A step that could not be applied, or that had no effect."""


class NoEffect(BuildError):
    """A step ran and changed nothing of what it is there to change."""


class RuntimeFault(PerfgateError):
    """A runtime that did not open the artifact, or opened it on another device."""


class InputError(PerfgateError):
    """Inputs that a network does not take, by their number, name or type."""


class BaselineError(PerfgateError):
    """A stored baseline that cannot be read or must not be written."""


class ReportError(PerfgateError):
    """A report or session file that cannot be read or written."""


class HistoryError(PerfgateError):
    """A history store that cannot be read or written."""


class LogError(PerfgateError):
    """A monitor's log that cannot be read, or is of another recipe."""


class DeviceBusy(PerfgateError):
    """Another session is measuring on this device."""


class MissingPackage(PerfgateError):
    """A package is not installed; `next_step` is the command that installs it."""


_LOOKED_AT = 5  # names that are close to a misspelt one
_LISTED = 20  # names of which all are listed beside one that is close
_MOST = 200  # names that are all compared, and listed where none is close
_NEAR = 50  # names before and behind, of more than these


def suggestion(value: str, choices: Iterable[str]) -> str:
    """`choices` as one line for the `valid` field, and behind them the one closest to `value`. Of
    many, beside a close one, those that are close, and how many others there are; of very many the
    first, and how many others. Of very many those are compared that begin alike: a suite file with
    thousands of misspelt names is refused at once.
    """
    known = compared = sorted(choices)
    if len(known) > _MOST:
        place = bisect.bisect(known, value)
        compared = known[max(0, place - _NEAR) : place + _NEAR]
    close = difflib.get_close_matches(value, compared, n=_LOOKED_AT)
    best = max(close, key=lambda name: _likeness(value, name), default=None)
    if best is None:
        more = f" and {len(known) - _MOST:,} others" if len(known) > _MOST else ""
        return ", ".join(known[:_MOST]) + more if known else "none"
    if len(known) > _LISTED:
        listed = f"{', '.join(close)} and {len(known) - len(close)} others"
    else:
        listed = ", ".join(known)
    return f"{listed}; did you mean {best!r}?"


def _likeness(value: str, name: str) -> tuple[float, int]:
    """Of equally close names (latency_p50, latency_p95) that one is likelier which begins alike."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(value, name, strict=False))
    return difflib.SequenceMatcher(None, name, value).ratio(), len(list(same))
