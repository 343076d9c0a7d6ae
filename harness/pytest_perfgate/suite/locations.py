"""The locations of a suite: what it names in stores and on servers, locked, and then fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import PerfgateError, RecipeError
from pytest_perfgate.files import short_path
from pytest_perfgate.locations import lock_file
from pytest_perfgate.locations.client import Place as FetchPlace
from pytest_perfgate.locations.client import Progress
from pytest_perfgate.locations.fetching import fetched
from pytest_perfgate.locations.url import Location, is_location, parse
from pytest_perfgate.records.location import Locked
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.suite.class_names import with_class_names
from pytest_perfgate.suite.fence import fence_of
from pytest_perfgate.suite.state import read_state, written_state
from pytest_perfgate.suite.suite_table import check_output, fitted_input
from pytest_perfgate.suite.tables import Place


def named_locations(
    place: Place, model: Any, data: Mapping[str, Any]
) -> Iterator[tuple[str, Location]]:
    """Every key whose value is a location, of a suite's model and data; `place` is the suite file.

    Raises:
        RecipeError: a location has not the form of its store, or may carry a credential.
    """
    table = model if isinstance(model, Mapping) else {"name": model}
    texts = {
        "suite.model" if key == "name" else f"suite.model.{key}": value
        for key, value in table.items()
    }
    for split, source in data.items():
        if isinstance(source, Mapping):
            texts |= {f"suite.data.{split}.{key}": value for key, value in source.items()}
    for key, text in texts.items():
        if isinstance(text, str) and is_location(text):
            try:
                yield key, parse(text)
            except RecipeError as error:
                raise error.at(f"{place.file}: {key}") from None


def read_locations(
    place: Place, model: Any, data: Mapping[str, Any], lock: Path
) -> dict[str, Locked]:
    """What the lock file says of every location of a suite, by URL.

    Raises:
        RecipeError: it does not have one, or cannot be read.
    """
    entries: dict[str, Locked] | None = None
    locations = {}
    for key, location in named_locations(place, model, data):
        if entries is None:
            entries = lock_file.read(lock, str(Path(place.file).with_name(lock.name)))
        if location.url not in entries:
            raise place.error(
                f"{location.url} is not in {lock.name}",
                key,
                valid=f"a location whose size and digest {lock.name} has",
                next_step=f"{lock_file.COMMAND} {Path(place.file).parent.name}".strip(),
            )
        locations[location.url] = entries[location.url]
    return locations


def with_files(suite: Suite, cache: Path, progress: Progress) -> Suite:
    """The suite with the files of its locations, from the cache or from their stores; then its
    model is checked, as others are when the suite is read.

    Raises:
        PerfgateError: files cannot be fetched, have other content than the lock file says, or are
            no model.
    """
    if not suite.locations:
        return suite
    place = Place(short_path(suite.file, suite.root))
    tree = suite.tree
    to = FetchPlace(
        cache,
        suite.folder.name,
        suite.folder if tree is None else tree.there(suite.folder),
        "" if tree is None else tree.revision,
        progress,
    )
    model = {**suite.model.options, "name": suite.model.name}
    files = {}
    for key, location in named_locations(place, model, suite.data):
        try:
            files[location.text] = fetched(location, suite.locations[location.url], to)
        except PerfgateError as error:
            raise error.at(f"{place.file}: {key}") from error
    suite = replace(suite, fetched=files)
    source, name = source_of(suite.model.name)
    try:
        options = source.Options.model_validate(dict(suite.model.options))
        source.check(name, options, fence_of(suite))
        states = [loop.input for loop in suite.state]
        fence = fence_of(suite)
        keys = fitted_input(place, suite.task, suite.input, suite.model, fence, states)
        state = read_state(place, written_state(suite.state), suite.model, fence)
        output = with_class_names(place, suite.output, suite.model, fence_of(suite))
        check_output(place, suite.task, output, keys)
    except PerfgateError as error:
        raise (error if error.where else error.at(f"{place.file}: suite.model")) from None
    return replace(suite, input=keys, output=output, state=state)
