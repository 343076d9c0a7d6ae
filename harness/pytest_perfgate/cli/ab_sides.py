"""A and B must be two things: one that is compared with itself passes always."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pytest_perfgate.cli.ab_run import is_url
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources.naming import finished_files

_PORTS = {"http": 80, "https": 443}
_HERE = "127.0.0.1"


def refuse_same(targets: Sequence[str]) -> None:
    """Check that two addresses, or two files, are not one, however they are written.

    Raises:
        RecipeError: they are one.
    """
    first, second = targets
    if is_url(first) and is_url(second):
        same = _address(first) == _address(second)
        next_step = "give the address of the server that may take A's place"
    else:
        same = not (is_url(first) or is_url(second)) and Path(first).samefile(second)
        next_step = "give the file that may take A's place; a copy shows the noise alone"
    if same:
        raise RecipeError(f"it is A, too: {first}", where=f"B: {second}", next_step=next_step)


def notes(targets: Sequence[str]) -> Iterator[str]:
    """Sentences on what A and B have in common."""
    first, second = targets
    if is_url(first) or is_url(second):
        return
    if _contents(first) == _contents(second):
        yield "the files of A and B have the same content: the ratio is that of a model to itself"


def _address(url: str) -> tuple[str, str, int | None, str, str]:
    """Scheme, host, port, path and query, in one spelling."""
    parts = urlsplit(url)
    host = "" if parts.hostname is None else parts.hostname
    port = parts.port or _PORTS.get(parts.scheme)
    here = _HERE if host == "localhost" else host
    return parts.scheme, here, port, parts.path.rstrip("/"), parts.query


def _contents(target: str) -> list[str]:
    """Digests of a model's file and of the files with its weights.

    Raises:
        PerfgateError: one of them is missing.
    """
    file = Path(target).resolve()
    source = next(one for one in finished_files() if target.endswith(one.suffixes))
    digests = []
    for one in (file, *source.beside(file, outside=True)):
        with one.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    return digests
