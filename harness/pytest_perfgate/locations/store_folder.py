"""A folder in an object store and its copy on this machine: files that never change, sent once and
fetched once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import FetchError
from pytest_perfgate.files import put
from pytest_perfgate.locations import object_stores
from pytest_perfgate.locations.transfer import Answer, Exchange
from pytest_perfgate.locations.url import Location, parse_folder

_KNOWN = ".known.json"
"""In the copy: the paths that the store is known to have had."""
_LARGEST = 1 << 30
"""Bytes of one file. A month of a thousand recipes is a tenth of it."""
_AT_ONCE = 8  # requests


def exchange(order: Exchange) -> Answer:
    """Makes both sides have the same files; answers with those that were sent.

    Raises:
        FetchError: the store cannot be read or written. What was exchanged before stays, and the
            next exchange goes on.
    """
    location = parse_folder(order.text)
    store, root = object_stores.opened(location, "")
    with_refusal = _with_refusal(location)
    there = with_refusal(lambda: _listed(store, root, order.names))
    known = _known(order.folder)
    here = _here(order.folder, order.names)
    for path in (here & known) - there.keys():  # deleted there, or put into one file with others
        (order.folder / path).unlink()
        here.discard(path)
    new = sorted(there.keys() - (here & known) - set(order.gone))
    unsent = sorted(here - there.keys())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # A name tells a session: what the store has under it stands for what is here.
        _all(pool, with_refusal, lambda path: _fetch(store, root, path, order.folder), new)
        _all(pool, with_refusal, lambda path: _send(store, root, path, order.folder), unsent)
    with_refusal(lambda: _delete(store, root, order.gone))
    _remember(order.folder, {*there, *unsent} - set(order.gone))
    return Answer(files=tuple(unsent))


def _all(
    pool: ThreadPoolExecutor,
    with_refusal: Callable[[Callable[[], Any]], Any],
    work: Callable[[str], None],
    paths: Iterable[str],
) -> None:
    """Does the work on each path, some at once."""
    for done in [pool.submit(work, path) for path in paths]:
        with_refusal(done.result)


def _listed(store: Any, root: str, names: str) -> dict[str, int]:
    """Path below the root to its size in bytes, of the files that are ours."""
    import obstore

    form, prefix = re.compile(names), f"{root}/" if root else ""
    listed: dict[str, int] = {}
    for chunk in obstore.list(store, prefix=root or None):
        for entry in chunk:
            path = entry["path"].removeprefix(prefix)
            if form.fullmatch(path):
                listed[path] = entry["size"]
    large = next((path for path, size in listed.items() if size > _LARGEST), "")
    if large:
        raise FetchError(
            f"the file {large} has {listed[large]:,} bytes",
            valid=f"up to {_LARGEST:,} bytes",
            next_step="take it out of the store, where it is not the history's",
        )
    return listed


def _fetch(store: Any, root: str, path: str, folder: Path) -> None:
    import obstore

    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    put(target, bytes(obstore.get(store, _key(root, path)).bytes()))


def _send(store: Any, root: str, path: str, folder: Path) -> None:
    import obstore
    from obstore.exceptions import AlreadyExistsError

    try:
        # Only where nothing has the name: two runners overwrite nothing of each other.
        obstore.put(store, _key(root, path), (folder / path).read_bytes(), mode="create")
    except AlreadyExistsError:  # sent by somebody meanwhile
        _fetch(store, root, path, folder)


def _delete(store: Any, root: str, paths: Iterable[str]) -> None:
    import obstore

    keys = [_key(root, path) for path in paths]
    if keys:
        obstore.delete(store, keys)


def _key(root: str, path: str) -> str:
    return f"{root}/{path}" if root else path


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


def _with_refusal(location: Location) -> Callable[[Callable[[], Any]], Any]:
    """Runs requests of a store; what it refuses is an error in words."""
    from obstore.exceptions import BaseError, InvalidPathError

    def run(request: Callable[[], Any]) -> Any:
        try:
            return request()
        except (BaseError, FileNotFoundError) as error:
            if object_stores.is_denied(error):
                raise FetchError(
                    f"access to {location.url} is refused: {object_stores.first_line(error)}",
                    next_step=object_stores.LOGIN[location.store],
                ) from error
            remedy = "correct the URL, or try again: nothing is lost, and the next exchange goes on"
            if isinstance(error, InvalidPathError):  # one such key, and nothing is listed
                remedy = "remove the object of that key, or name a folder that others do not write"
            raise FetchError(
                f"{location.url} cannot be read and written: {object_stores.first_line(error)}",
                next_step=remedy,
            ) from error

    return run
