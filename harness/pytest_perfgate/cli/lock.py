"""`pytest-perfgate lock`: writes the size and digest of everything that suites fetch."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate import registry
from pytest_perfgate.cli import options
from pytest_perfgate.errors import PerfgateError, RecipeError, suggestion
from pytest_perfgate.files import short_path
from pytest_perfgate.units import Unit, count_of, show

if TYPE_CHECKING:
    from pytest_perfgate.locations.url import Location
    from pytest_perfgate.records.location import Locked

_LOCK = """\
Writes recipes.lock beside each recipes.toml: the URL, size and SHA-256 of every model, file of
weights and data that the suite names in a store or on a server. Keep it in git. A session
fetches what the lock file says, and nothing else. New locations are fetched and added; those that
no key names any more are removed; the others stay as they are.

exit code: 0 the lock files are complete
           1 with --check, one is not; or a location could not be fetched
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    lock = commands.add_parser(
        "lock",
        help="write recipes.lock: size and digest of models and data in stores",
        description=_LOCK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lock.add_argument(
        "suite", nargs="*", metavar="SUITE", help="name or folder of a suite (default: all)"
    )
    options.add_suites(lock)
    options.add_folder(lock, "--cache", ".perfgate", "folder of the cache")
    lock.add_argument(
        "--check", action="store_true", help="write and fetch nothing; exit code 1 where one is old"
    )
    lock.add_argument(
        "--upgrade", action="store_true", help="fetch every location again, and write what it holds"
    )
    lock.set_defaults(run=_run)


def _run(requested: argparse.Namespace) -> int:
    from pytest_perfgate.cli.project import locate
    from pytest_perfgate.suite.lookup import suite_files

    root, folder = locate(Path.cwd(), requested.suites)
    files = [folder / "recipes.toml"] if (folder / "recipes.toml").is_file() else []
    files = _named(files or suite_files(folder), requested.suite, folder)
    complete = [_suite(file, root, requested) for file in files]
    return 0 if all(complete) else 1


def _named(files: Sequence[Path], names: Sequence[str], folder: Path) -> list[Path]:
    """The suite files that the command line names, or all of them."""
    known = {file.parent.name: file for file in files}
    chosen = []
    for name in names:
        file = known.get(name) or next(
            (file for file in files if file.parent == Path(name).resolve()), None
        )
        if file is None:
            raise RecipeError(
                f"there is no suite {name!r}",
                where=str(folder),
                valid=suggestion(name, known),
                next_step="pytest-perfgate lock --suites DIR",
            )
        chosen.append(file)
    return chosen if names else list(files)


def _suite(file: Path, root: Path, requested: argparse.Namespace) -> bool:
    """Whether a suite's lock file is complete, or is now."""
    from pytest_perfgate.locations import lock_file

    path = lock_file.lock_file(file)
    where = short_path(path, root)
    named = _locations(file, root)
    entries = lock_file.read(path, where)
    missing = [url for url in named if url not in entries]
    unused = [url for url in entries if url not in named]
    if requested.check:
        for url in missing:
            print(f"{where}: missing {url}")
        for url in unused:
            print(f"{where}: unused {url}")
        if not missing and not unused:
            print(f"{where}: {count_of(len(named), 'location')}, complete")
            return True
        print(f"next: {lock_file.COMMAND} {file.parent.name}")
        return False
    fetch = list(named) if requested.upgrade else missing
    if fetch:
        registry.require((registry.from_extra("tomlkit", "stores"),), lock_file.COMMAND)
    try:
        fetched = {url: _fetched(named[url], file, requested.cache) for url in fetch}
    finally:
        _shown("")
    new = {url: fetched.get(url) or entries[url] for url in named}
    if list(new.items()) != list(entries.items()):
        lock_file.write(path, new.values())
    for url in unused:
        print(f"{where}: removed {url}")
    for url, entry in new.items():
        print(f"{where}: {_change(entries.get(url), entry)}")
    return True


def _locations(file: Path, root: Path) -> dict[str, tuple[str, Location]]:
    """URL to the first key of a suite file that names it, with its place, and the location."""
    from pytest_perfgate.suite.locations import named_locations
    from pytest_perfgate.suite.tables import Place

    place = Place(short_path(file, root))
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"it cannot be read: {error}", where=place.file) from error
    suite = data.get("suite")
    if not isinstance(suite, dict) or not isinstance(suite.get("data", {}), dict):
        raise place.error("there is no [suite] table with data", "suite")
    named: dict[str, tuple[str, Location]] = {}
    for key, location in named_locations(place, suite.get("model"), suite.get("data", {})):
        named.setdefault(location.url, (f"{place.file}: {key}", location))
    return named


def _fetched(named: tuple[str, Location], file: Path, cache: Path) -> Locked:
    from pytest_perfgate.locations.client import Place
    from pytest_perfgate.locations.fetching import lock
    from pytest_perfgate.machine.cache_folders import keep_out_of_git

    key, location = named
    keep_out_of_git(cache)
    try:
        return lock(
            location,
            Place(cache, file.parent.name, file.parent, progress=_shown),
            _beside(key, location),
        )
    except PerfgateError as error:
        raise error.at(key) from error


def _beside(key: str, location: Location) -> Callable[[Path], Sequence[str]]:
    """Which files belong to the one that a key names: a model has some, data have none."""
    from pytest_perfgate.sources.naming import source_of

    if not key.endswith("suite.model") or location.inner:
        return lambda _: ()
    source, _ = source_of(location.text)
    return source.side_names


def _shown(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.__stderr__, flush=True)


def _change(before: Locked | None, now: Locked) -> str:
    size = show(now.size, Unit.BYTES)
    digest = now.files[0].sha256
    if before is None:
        return f"added {now.url}, {size}, sha256 {digest}"
    if before.digest == now.digest:
        return f"unchanged {now.url}, {size}"
    return f"changed {now.url}, {size}, sha256 {before.files[0].sha256} -> {digest}"
