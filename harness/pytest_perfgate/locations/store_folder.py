"""A folder in a store and its copy on this machine: files that never change, sent once and fetched
once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import FetchError
from pytest_perfgate.files import put
from pytest_perfgate.locations.bucket_folder import BucketFolder
from pytest_perfgate.locations.shared_folder import SharedFolder
from pytest_perfgate.locations.transfer import Answer, Exchange
from pytest_perfgate.locations.url import POSTGRESQL, Location, parse_folder

_KNOWN = ".known.json"
"""In the copy: the paths that the store is known to have had."""
_AT_ONCE = 8  # requests


def exchange(order: Exchange) -> Answer:
    """Makes both sides have the same files; answers with those that were sent.

    Raises:
        FetchError: the store cannot be read or written. What was exchanged before stays, and the
            next exchange goes on.
    """
    location = parse_folder(order.text)
    store, with_refusal = _opened(location)
    there = with_refusal(lambda: store.listed(order.names))
    known = _known(order.folder)
    here = _here(order.folder, order.names)
    for path in (here & known) - there:  # deleted there, or put into one file with others
        (order.folder / path).unlink()
        here.discard(path)
    new = sorted(there - (here & known) - set(order.gone))
    unsent = sorted(here - there)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # A name tells a session: what the store has under it stands for what is here.
        _all(pool, with_refusal, lambda path: _fetch(store, path, order.folder), new)
        _all(pool, with_refusal, lambda path: _send(store, path, order.folder), unsent)
    with_refusal(lambda: store.delete(order.gone))
    _remember(order.folder, {*there, *unsent} - set(order.gone))
    return Answer(files=tuple(unsent))


def _opened(location: Location) -> tuple[SharedFolder, Callable[[Callable[[], Any]], Any]]:
    """The folder, and what runs its requests: what it refuses is an error in words."""
    if location.store != POSTGRESQL:
        store: SharedFolder = BucketFolder(location)
        return store, _with(store.refusal)
    from pytest_perfgate.locations.database_folder import DatabaseFolder, refusal

    store = _with(partial(refusal, location))(lambda: DatabaseFolder(location))
    return store, _with(store.refusal)


def _with(
    refusal: Callable[[Exception], FetchError | None],
) -> Callable[[Callable[[], Any]], Any]:
    def run(request: Callable[[], Any]) -> Any:
        try:
            return request()
        except FetchError:
            raise
        except Exception as error:
            refused = refusal(error)
            if refused is None:
                raise
            raise refused from error

    return run


def _all(
    pool: ThreadPoolExecutor,
    with_refusal: Callable[[Callable[[], Any]], Any],
    work: Callable[[str], None],
    paths: Iterable[str],
) -> None:
    """Does the work on each path, some at once."""
    for done in [pool.submit(work, path) for path in paths]:
        with_refusal(done.result)


def _fetch(store: SharedFolder, path: str, folder: Path) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    put(target, store.read(path))


def _send(store: SharedFolder, path: str, folder: Path) -> None:
    if not store.add(path, (folder / path).read_bytes()):  # sent by somebody meanwhile
        _fetch(store, path, folder)


def _here(folder: Path, names: str) -> set[str]:
    form = re.compile(names)
    paths = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return {path for path in paths if form.fullmatch(path)}


def _known(folder: Path) -> set[str]:
    """What the store had; a file that cannot be read tells nothing, and all is looked at anew."""
    try:
        paths = json.loads((folder / _KNOWN).read_bytes())
    except (OSError, ValueError):
        return set()
    return {path for path in paths if isinstance(path, str)} if isinstance(paths, list) else set()


def _remember(folder: Path, paths: Iterable[str]) -> None:
    put(folder / _KNOWN, json.dumps(sorted(paths)))
