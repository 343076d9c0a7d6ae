"""The process that fetches, as its parent sees it: what it answers, or that it is silent."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations.transfer import Answer, Exchange, Order
from pytest_perfgate.locations.url import DVC
from pytest_perfgate.plain_text import without_secrets
from pytest_perfgate.records.location import Locked
from pytest_perfgate.units import Unit, show

Progress = Callable[[str], None]
"""Shows what is being done now, one line."""

SILENCE = 60.0
"""Seconds without a byte after which a fetch has failed."""
_SILENT_CLIENT = 3600.0
"""The same for DVC, which gathers a file elsewhere before it gives it."""
_SLACK = 1 << 20  # bytes of a client's own notes beside the files
EVERY = 0.1
"""Seconds between two looks at what others do."""


@dataclass(frozen=True)
class Place:
    """Who fetches, and from where.

    Attributes:
        cache: the folder of the cache.
        suite: the suite's name, for messages.
        repository: the folder that a path of DVC starts from.
        revision: the commit of that repository, "" for its working tree.
        progress: shows what is being done.
        silence: seconds without a byte after which a fetch has failed.
    """

    cache: Path
    suite: str
    repository: Path
    revision: str = ""
    progress: Progress = lambda _: None
    silence: float = SILENCE


def carried_out(order: Order | Exchange, locked: Locked | None, place: Place) -> Answer:
    """What a process of its own answers to an order; it is ended where it is silent for too long,
    or writes more than it may.

    Raises:
        FetchError: it answers with an error, or not at all.
    """
    action = "exchange" if isinstance(order, Exchange) else "fetch"
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "pytest_perfgate.locations.child", action],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            text = _heard(child, order, locked, place)
        finally:
            child.kill()  # an interrupt leaves parts, and no process
            child.wait()
        try:
            answer = TypeAdapter(Answer).validate_json(text)
        except ValidationError:
            raise FetchError(
                f"the process that fetched {order.text} ended with exit code {child.returncode}: "
                f"{_last_words(log)}",
                next_step="run it again: it continues where it ended",
            ) from None
    if answer.problem:
        raise FetchError(answer.problem, valid=answer.valid, next_step=answer.next_step)
    return answer


def _heard(
    child: subprocess.Popen[bytes], order: Order | Exchange, locked: Locked | None, place: Place
) -> str:
    assert child.stdin is not None  # noqa: S101 - a pipe, as asked for
    assert child.stdout is not None  # noqa: S101 - as above
    with contextlib.suppress(BrokenPipeError), child.stdin:
        child.stdin.write(json.dumps(asdict(order), default=str).encode())
    url = without_secrets(order.text)
    silence = _SILENT_CLIENT if order.text.startswith(f"{DVC}:") else place.silence
    total = f" of {show(locked.size, Unit.BYTES)}" if locked else ""
    before, since = -1, time.monotonic()
    while True:
        try:
            child.wait(EVERY)
            return child.stdout.read().decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            now = bytes_in(order.folder)
        if now != before:
            before, since = now, time.monotonic()
            place.progress(f"fetching {url}: {show(now, Unit.BYTES)}{total}")
        if locked is not None and now > locked.size + _SLACK:
            raise FetchError(
                f"{url} gives more than the {locked.size:,} bytes of the lock file",
                next_step=f"pytest-perfgate lock {place.suite} --upgrade, where that is right",
            )
        if time.monotonic() - since > silence:
            raise FetchError(
                f"no byte of {url} came for {silence:g} s; {max(0, before):,} came before",
                next_step="run it again: it continues where it ended",
            )


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # renamed meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode("utf-8", "replace").strip()[-500:] or "it said nothing"
