"""Writes the report of a session: its data first, then the page, drawn in a process of its own.

The data outlives whatever happens to the page: a drawing library that crashes, hangs or exhausts
the memory ends its own process and neither pytest nor the results.
"""

from __future__ import annotations

import contextlib
import resource
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.files import put, writing
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.units import Unit, show

DRAWING_SECONDS = 300.0
"""A page of 1,000 recipes takes half a minute; one that takes longer than this never ends."""

DRAWING_MEMORY = 4 * 2**30
"""Bytes that a drawing process may write to: the page of 1,000 recipes takes a quarter of them."""

_TRIES = 100
_DRAWN = 3  # bytes of a name
_LAST_OUTPUT = 2_000  # characters


def claimed(folder: Path | None, started: datetime) -> str:
    """A session's id that no other session of the folder has, named after its start in UTC; without
    a folder, only the name. The digits behind it are drawn: runners of one kind that start in the
    same second, each with a folder of its own, add to one history.

    An empty `<id>.json` holds the name until `store` writes the session; `release` gives up a name
    that was never used. Where the folder cannot be written, the name is not held: `store` reports
    the reason.
    """
    second = started.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    name = f"{second}-{secrets.token_hex(_DRAWN)}"
    if folder is None:
        return name
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            with contextlib.suppress(FileExistsError), (folder / f"{name}.json").open("x"):
                return name
            name = f"{second}-{secrets.token_hex(_DRAWN)}"
    return name


def release(folder: Path, name: str) -> None:
    """Removes the empty file that held a name."""
    file = folder / f"{name}.json"
    with contextlib.suppress(OSError):
        if file.stat().st_size == 0:
            file.unlink()


def store(session: SessionRecord, folder: Path) -> Path:
    """Writes `<id>.json`, completely or not at all; returns the file.

    Raises:
        ReportError: the folder cannot be written.
    """
    file = folder / f"{session.id}.json"
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        put(file, session.model_dump_json(indent=1))
    return file


def draw(file: Path, *, seconds: float = DRAWING_SECONDS, memory: int = DRAWING_MEMORY) -> Path:
    """Draws the page beside a session's file and the list of its folder; returns the page.

    Raises:
        ReportError: the page could not be drawn or written; the session's file is untouched.
    """
    _run(file, "page", seconds, memory)
    return file.with_suffix(".html")


def draw_picture(
    file: Path, picture: Path, *, seconds: float = DRAWING_SECONDS, memory: int = DRAWING_MEMORY
) -> None:
    """Draws the picture of a stored session into a PNG file.

    Raises:
        ReportError: it could not be drawn or written.
    """
    with writing(
        picture, "the picture", ReportError, next_step="name another: --perf-picture=FILE"
    ):
        picture.parent.mkdir(parents=True, exist_ok=True)
    _run(file, "picture", seconds, memory, picture)


def _run(file: Path, what: str, seconds: float, memory: int, *output: Path) -> None:
    """Draws in a process of its own."""
    command = [sys.executable, "-P", "-m", "pytest_perfgate.report.publish", str(file), str(memory)]
    command += map(str, output)
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise _undrawn(file, what, f"drawing took longer than {seconds:.0f} s") from None
    except OSError as error:
        raise _undrawn(file, what, f"no process for drawing: {error.strerror}") from error
    if done.returncode == _REFUSED:
        reason = done.stderr.decode(errors="replace").strip()
        raise ReportError(
            f"the {'report' if what == 'page' else what} cannot be written: {reason}",
            where=str(output[0] if output else file.parent),
            next_step=_REMEDY,
        )
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-_LAST_OUTPUT:]
        ended = f"the drawing process {_ended(done.returncode, words, memory)}"
        raise _undrawn(file, what, ended)


def _ended(code: int, words: str, memory: int) -> str:
    """How a drawing process ended, in words."""
    if code >= 0:
        last = words.rpartition("\n")[2]
        return f"exited with {code}" + (f": {last}" if last else "")
    # The library ends its process when it gets no memory, and leaves a list of addresses.
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    limit = f"it may use {show(memory, Unit.BYTES)} of memory"
    if space != resource.RLIM_INFINITY:
        limit = (
            f"its address space is limited to {show(space, Unit.BYTES)} (ulimit -v), and the "
            "drawing library reserves more than it uses"
        )
    return f"was ended by signal {-code}: {limit}"


def write(session: SessionRecord, folder: Path) -> Path:
    """Writes the session's data, then its page and the list of the folder; returns the page.

    Raises:
        ReportError: as `store` and `draw`.
    """
    return draw(store(session, folder))


_REMEDY = "free the disk or make the folder writable, or name another: --perf-reports=DIR"
_REFUSED = 3  # exit code: the folder cannot be written; the message is on stderr


def _writing(folder: Path) -> contextlib.AbstractContextManager[None]:
    return writing(folder, "the report", ReportError, next_step=_REMEDY)


def _undrawn(file: Path, what: str, problem: str) -> ReportError:
    return ReportError(
        f"the {what} could not be drawn: {problem}",
        where=str(file),
        next_step=f"the session is stored; pytest-perfgate report {file} draws its page again",
    )


def _draw_here(file: Path, picture: Path | None) -> None:
    from pytest_perfgate.report import index_page
    from pytest_perfgate.report.page import render
    from pytest_perfgate.report.session_files import read
    from pytest_perfgate.suite.metrics import metrics_of_session

    session = read(file)
    metrics = metrics_of_session(session)
    if picture is not None:
        from pytest_perfgate.report.picture import png

        put(picture, png(session, metrics))
        return
    page = render(session, metrics)
    put(file.with_suffix(".html"), page)
    index_page.write(file.parent)


def _main(arguments: list[str]) -> int:
    # Not the address space: the library reserves more of it than any machine has memory.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = int(arguments[1])
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        _draw_here(Path(arguments[0]), Path(arguments[2]) if len(arguments) > 2 else None)
    except OSError as error:
        sys.stderr.write(error.strerror or str(error))
        return _REFUSED
    except PerfgateError as error:
        sys.stderr.write(error.problem)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
