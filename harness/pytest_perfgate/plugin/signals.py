"""Signals that ask a session to end: each is handled as Ctrl-C is, and none is lost."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_DEFAULTS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""The signals, each with the handler that it has where nobody set another."""


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP of a session, as `KeyboardInterrupt` in the main thread.

    Python raises it wherever the main thread is. In a destructor, or in a callback of a weak
    reference, as each import has one, it is printed and dropped, and the session would go on: who
    works for long calls `raise_lost` now and then.
    """

    def __init__(self) -> None:
        self._received = ""

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Handles them while the block runs. A signal that is ignored (nohup) stays ignored, and
        handlers of others stay in place.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        taken = {
            number: signal.signal(number, self._interrupt)
            for number, default in _DEFAULTS.items()
            if signal.getsignal(number) == default
        }
        try:
            yield
        finally:
            self._received = ""
            for number, before in taken.items():
                signal.signal(number, before)

    def raise_lost(self) -> None:
        """Raises `KeyboardInterrupt` where one was raised and dropped. Not while an exception is
        handled: it may be that one, on its way through what has to be cleaned up.
        """
        if self._received and sys.exc_info()[1] is None:
            raise KeyboardInterrupt(self._received)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        self._received = signal.Signals(number).name
        raise KeyboardInterrupt(self._received)
