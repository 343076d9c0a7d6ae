"""Signals that ask a session to end: they are handled as Ctrl-C is."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def as_interrupt() -> Iterator[None]:
    """Raises `KeyboardInterrupt` in the main thread for SIGTERM and SIGHUP while the block runs.

    A signal that is ignored (nohup) stays ignored, and handlers of others stay in place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = {
        number: signal.signal(number, _interrupt)
        for number in _SIGNALS
        if signal.getsignal(number) is signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, before in taken.items():
            signal.signal(number, before)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)
