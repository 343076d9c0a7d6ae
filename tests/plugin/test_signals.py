"""SIGTERM and SIGHUP end a session as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from pytest_perfgate.plugin.signals import as_interrupt

BOTH = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def default() -> Iterator[None]:
    """What a process starts with, and what was there afterwards."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in BOTH}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_is_an_interrupt_that_names_it(number: signal.Signals) -> None:
    """A closed terminal, an ended CI job; afterwards the default is back."""
    with pytest.raises(KeyboardInterrupt, match=number.name), as_interrupt():
        signal.raise_signal(number)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored_and_handlers_of_others_stay() -> None:
    """They were set on purpose."""
    heard: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    with as_interrupt():
        for number in BOTH:
            os.kill(os.getpid(), number)
    assert heard == [signal.SIGTERM]


def test_in_another_thread_nothing_is_changed() -> None:
    """Python handles signals in the main thread only."""
    seen: list[object] = []

    def run() -> None:
        with as_interrupt():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
