"""What suites name in stores and on servers: all of it fetched before the first is measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.suite.locations import with_files
from pytest_perfgate.suite.reading import SuiteFile
from pytest_perfgate.suite.requirements import lacking


class FetchedSuites:
    """Suites with their files, or why there are none, by suite file.

    Args:
        wanted: the suites that will be measured, each with the names of its recipes. A location
            that cannot be fetched is known before an hour of measuring; nothing is fetched for a
            suite whose recipes all lack a package or a device.
        cache: the folder of the cache.
        show: called with progress, on one line.
    """

    def __init__(
        self,
        wanted: Iterable[tuple[SuiteFile, Collection[str]]],
        cache: Path,
        show: Progress,
    ) -> None:
        self._outcomes: dict[Path, SuiteFile | PerfgateError] = {}
        for read, names in wanted:
            if read.suite is None or not _can_run(read.suite, names):
                continue
            try:
                suite = with_files(read.suite, cache, show)
                self._outcomes[read.file] = replace(read, suite=suite)
            except PerfgateError as error:
                self._outcomes[read.file] = error

    def of(self, read: SuiteFile) -> SuiteFile:
        """A suite with its files; as it is where none of its recipes can run.

        Raises:
            PerfgateError: they could not be fetched.
        """
        outcome = self._outcomes.get(read.file, read)
        if isinstance(outcome, PerfgateError):
            raise outcome
        return outcome


def _can_run(suite: Suite, names: Collection[str]) -> bool:
    """Whether this machine has what one of some recipes needs."""
    recipes = [suite.recipes[name] for name in names if name in suite.recipes]
    return any(lacking(suite, recipe) is None for recipe in recipes)


def other_content(suite: Suite, base: Suite, name: str) -> list[str]:
    """What people should know of locations whose content is another at the base `name`."""
    return [
        f"{url} has other content at {name}: sha256 {there.files[0].sha256[:16]}… there, "
        f"{here.files[0].sha256[:16]}… here"
        for url, here in suite.locations.items()
        if (there := base.locations.get(url)) is not None and there.digest != here.digest
    ]
