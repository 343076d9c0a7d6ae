"""Where a history is: a folder, or a store that many machines add to, and its copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import FetchError, HistoryError
from pytest_perfgate.files import digest_of

STORES = ("s3://", "gs://", "postgresql://")
"""How the URL of a store begins."""
_FILES = r"month=[0-9]{4}-[0-9]{2}/[A-Za-z0-9_-][A-Za-z0-9._-]*\.parquet"
_COPIES = "history"  # in the cache


@dataclass(frozen=True)
class HistoryPlace:
    """Where a history is.

    Attributes:
        folder: that programs read and write.
        url: of the folder in a store that `folder` is a copy of, "" for none.
        cache: the cache that has the copy.
    """

    folder: Path
    url: str = ""
    cache: Path = Path()

    @property
    def name(self) -> str:
        """For messages."""
        return self.url or str(self.folder)

    def exchange(
        self, progress: Callable[[str], None] = lambda _: None, gone: Iterable[Path] = ()
    ) -> None:
        """Sends what only this machine has, and fetches what only the store has. `gone` are files
        of the folder that another one stands for now: they are deleted in the store.

        Raises:
            HistoryError: the store cannot be read or written. What is here stays here, and is sent
                the next time.
        """
        if not self.url:
            return
        from pytest_perfgate.locations.cache import make_folders
        from pytest_perfgate.locations.client import Place, carried_out
        from pytest_perfgate.locations.transfer import Exchange
        from pytest_perfgate.machine.cache_folders import keep_out_of_git, locked, own_folder

        keep_out_of_git(self.cache)
        make_folders(self.cache)
        own_folder(self.folder.parent)
        own_folder(self.folder)
        paths = tuple(file.relative_to(self.folder).as_posix() for file in gone)
        order = Exchange(self.url, self.folder, _FILES, paths)
        place = Place(self.cache, "", self.folder, progress=progress)
        with locked(self.cache, f"{_COPIES}-{self.folder.name}", wait=True):
            try:
                carried_out(order, None, place)
            except FetchError as error:
                raise HistoryError(
                    error.problem, valid=error.valid, next_step=error.next_step
                ) from error


def place_of(text: str, root: Path, cache: Path) -> HistoryPlace:
    """The place that an option names: a folder, relative to `root`, or the URL of a store, whose
    copy is in `cache`.

    Raises:
        RecipeError: it is the URL of something else, or may carry a credential.
        MissingPackage: what speaks with stores is not installed.
    """
    if "://" not in text:
        return HistoryPlace(root / text)
    from pytest_perfgate import registry
    from pytest_perfgate.locations import database_folder, object_stores
    from pytest_perfgate.locations.url import POSTGRESQL, parse_folder

    location = parse_folder(text)
    url = location.url
    through = database_folder if location.store == POSTGRESQL else object_stores
    registry.require((through.REQUIRES,), f"the history {url}")
    return HistoryPlace(cache / _COPIES / digest_of([url])[:16], url, cache)
