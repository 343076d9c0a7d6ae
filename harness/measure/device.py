"""One measurement at a time on a device: a lock that every session on this machine respects."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import DeviceBusy

_EVERY = 0.5  # seconds between tries


@contextlib.contextmanager
def exclusive(
    name: str,
    wait: float,
    waiting: Callable[[str], None],
    *,
    option: str = "--perf-wait SECONDS",
) -> Iterator[None]:
    """Holds the device `name` ("cpu") while the block runs; `option` is how a user makes it wait.

    Raises:
        DeviceBusy: another session has it, and still has after `wait` seconds.
    """
    folder = Path(tempfile.gettempdir()) / f"pytest-perfgate-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    deadline = time.monotonic() + wait
    with (folder / f"{name}.lock").open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                if time.monotonic() >= deadline:
                    raise DeviceBusy(
                        f"process {holder} is measuring on this machine's {name}, and two "
                        "measurements at once would disturb each other",
                        next_step="run it alone (with xdist: --dist loadgroup keeps perf tests on "
                        f"one worker), or wait for the other: {option}",
                    ) from None
                waiting(f"waiting for process {holder}, which is measuring")
                time.sleep(_EVERY)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
