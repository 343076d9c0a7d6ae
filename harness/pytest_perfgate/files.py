"""Files and their digests: written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import PerfgateError

ZIP_ERRORS = (zipfile.BadZipFile, RuntimeError, EOFError, zlib.error)
"""What `zipfile` raises for a damaged archive. RuntimeError stands for flags and versions that it
does not know (NotImplementedError), and for a password.
"""


def put(file: Path, content: str | bytes) -> None:
    """Writes a file, whole or not at all, with the permissions that the umask leaves.

    Raises:
        OSError: it cannot be written, or another kind of file has its name: a device, a pipe, a
            folder.
    """
    # Opened exclusively: a part of another process is never written into.
    with replacing(file) as part, part.open("xb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())


def put_all(contents: Mapping[Path, bytes]) -> None:
    """Writes several files, in this order, all or none. Every content lies beside its place before
    the first takes it: a disk that is full changes nothing.

    Raises:
        OSError: as `put`; what had been replaced by then is put back.
    """
    earlier: list[tuple[Path, bytes | None]] = []
    with contextlib.ExitStack() as parts:
        renamed = [
            parts.enter_context(_part_of(file, content)) for file, content in contents.items()
        ]
        try:
            for file, part in zip(contents, renamed, strict=True):
                before = file.read_bytes() if file.is_file() else None
                part.replace(file)
                earlier.append((file, before))
        except BaseException:
            for file, content in reversed(earlier):
                with contextlib.suppress(OSError):  # one that cannot be put back stops no other
                    file.unlink() if content is None else put(file, content)
            raise


@contextlib.contextmanager
def _part_of(file: Path, content: bytes) -> Iterator[Path]:
    """A file beside `file` with the new content; it is gone in the end."""
    _refuse_other_kind(file)
    part = _part(file)
    try:
        with part.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def _part(file: Path) -> Path:
    return file.with_name(f".{file.name[:200]}.{secrets.token_hex(8)}.part")


def _refuse_other_kind(file: Path) -> None:
    """Check that a rename would not replace even /dev/null."""
    if file.exists() and not file.is_file():
        raise OSError(errno.EEXIST, "another kind of file has its name", str(file))


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A free name beside `file` for the new content, which takes the place of `file` at the end;
    on an error `file` stays as it was and nothing is left beside it.

    Raises:
        OSError: as `put`.
    """
    _refuse_other_kind(file)
    part = _part(file)
    try:
        yield part
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def writing(
    where: Path, what: str, error: type[PerfgateError], *, next_step: str = ""
) -> Iterator[None]:
    """Turns an `OSError` inside into "<what> cannot be written" with its place.

    Raises:
        PerfgateError: of the type `error`.
    """
    try:
        yield
    except OSError as problem:
        raise error(
            f"{what} cannot be written: {problem.strerror or problem}",
            where=str(where),
            next_step=next_step,
        ) from problem


def short_path(path: Path, root: Path) -> str:
    """`path` below `root`, with forward slashes; the whole path where it is elsewhere."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def digest_of(data: Mapping[str, Any] | list[Any] | str) -> str:
    """SHA-256 over the canonical JSON of plain data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_files(folder: Path, names: list[str]) -> tuple[str, dict[str, int]]:
    """One digest over the bytes of some files of a folder, and the size of each."""
    total = hashlib.sha256()
    sizes = {}
    for name in sorted(names):
        content = (folder / name).read_bytes()
        total.update(name.encode() + b"\0" + content)
        sizes[name] = len(content)
    return total.hexdigest(), sizes
