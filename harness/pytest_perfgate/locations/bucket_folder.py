"""A folder in an object store, through obstore."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from typing_extensions import override

from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations import object_stores
from pytest_perfgate.locations.shared_folder import SharedFolder
from pytest_perfgate.locations.url import Location


class BucketFolder(SharedFolder):
    """A folder below `s3://` or `gs://`."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._store, self._root = object_stores.opened(location, "")

    @override
    def _sizes(self) -> Iterator[tuple[str, int]]:
        import obstore

        prefix = f"{self._root}/" if self._root else ""
        for chunk in obstore.list(self._store, prefix=self._root or None):
            for entry in chunk:
                yield entry["path"].removeprefix(prefix), entry["size"]

    @override
    def read(self, path: str) -> bytes:
        import obstore

        return bytes(obstore.get(self._store, self._key(path)).bytes())

    @override
    def add(self, path: str, content: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            obstore.put(self._store, self._key(path), content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    @override
    def delete(self, paths: Iterable[str]) -> None:
        import obstore

        keys = [self._key(path) for path in paths]
        if not keys:
            return
        try:
            obstore.delete(self._store, keys)
        except FileNotFoundError:  # Google's store says so, S3 does not; the others may be left
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self._store, key)

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}" if self._root else path

    @override
    def refusal(self, error: Exception) -> FetchError | None:
        from obstore.exceptions import BaseError, InvalidPathError

        url, words = self._location.url, object_stores.first_line(error)
        if not isinstance(error, (BaseError, FileNotFoundError)):
            return None
        if object_stores.is_denied(error):
            return FetchError(
                f"access to {url} is refused: {words}",
                next_step=object_stores.LOGIN[self._location.store],
            )
        remedy = "correct the URL, or try again: nothing is lost, and the next exchange goes on"
        if isinstance(error, InvalidPathError):  # one such key, and nothing is listed
            remedy = "remove the object of that key, or name a folder that others do not write"
        return FetchError(f"{url} cannot be read and written: {words}", next_step=remedy)
