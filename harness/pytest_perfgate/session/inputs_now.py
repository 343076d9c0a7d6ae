"""What the recipes of one suite rest on now: recorded by a session, and compared by a later one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pytest_perfgate.building import input_digests
from pytest_perfgate.building.input_digests import InputDigests
from pytest_perfgate.files import digest_of, short_path
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.measure.worker_environment import inherited
from pytest_perfgate.records.input_messages import InputsRead
from pytest_perfgate.records.inputs import RecipeInputs, SuiteInputs
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.settings import Settings

_ELSEWHERE = {
    *("file", "root", "recipes", "fetched", "tree", "planted", "require", "targets", "target")
}
"""Fields of a suite that say where it lies, that are compared besides, or that change no result."""


@dataclass(frozen=True)
class Host:
    """Where the inputs that all recipes share are read from.

    Attributes:
        environ: environment variables.
        packages, program: see `building.input_digests`.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    packages: Callable[[], dict[str, str]] = input_digests.installed
    program: Callable[[], str] = input_digests.program


class InputsNow:
    """What recipes rest on, in this session.

    Args:
        host: where the inputs that all recipes share are read from.
        started: seconds since the epoch, of the session's start: what a file that was changed later
            held when it was read is not known.
    """

    def __init__(
        self,
        suite: Suite,
        settings: Settings,
        machine: Machine,
        environment: Environment,
        started: float,
        host: Host | None = None,
    ) -> None:
        self._host = host or Host()
        self._suite = suite
        self._settings = settings
        self._machine = machine
        self._environment = environment
        self._now = InputDigests(suite.root)
        self._read = InputDigests(suite.root, since=started)

    def of_suite(self) -> SuiteInputs:
        """What all recipes of the suite rest on."""
        settings = self._settings
        return SuiteInputs(
            program=self._host.program(),
            machine=self._machine.id,
            environment=self._environment,
            timing={
                "--perf-alpha": f"{settings.alpha:g}",
                "rounds": str(settings.rounds),
                "--perf-cores and --perf-gpus": str(settings.share),
            },
            packages=self._host.packages(),
            variables=input_digests.variables(inherited(self._host.environ)),
        )

    def declared(self, recipe: Recipe) -> str:
        """Digest of a recipe, of its reference, and of the suite around them."""
        suite = self._suite
        around = {
            one.name: getattr(suite, one.name)
            for one in fields(suite)
            if one.name not in _ELSEWHERE
        }
        parts = [
            short_path(suite.file, suite.root),
            around,
            *(_asked(one) for one in (recipe, suite.recipes[recipe.reference])),
        ]
        # The same project in another folder is the same.
        text = json.dumps(parts, sort_keys=True, default=str)
        return digest_of(text.replace(str(suite.root), "."))

    def recorded(self, recipe: Recipe, read: InputsRead | None) -> RecipeInputs | None:
        """What a recipe rested on in this session; None: not all of it is known."""
        if read is None:
            return None
        names = {name: self._read.digest(name) for name in read.names - read.digests.keys()}
        files = input_digests.listed({**names, **read.digests}, self._read)
        return RecipeInputs(declared=self.declared(recipe), data=read.data, files=files)

    def again(
        self, recipe: Recipe, then: RecipeInputs, data: Mapping[str, str] | None
    ) -> RecipeInputs:
        """What a recipe rests on now, where it rested on `then`; `data` are the digests of the
        data now, None: not computed, and taken as they were.
        """
        known = then.data if data is None else {name: data.get(name, "") for name in then.data}
        return RecipeInputs(
            declared=self.declared(recipe),
            data=dict(known),
            files=input_digests.again(then.files, self._now),
        )


def _asked(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the suite file has it, wherever its links were built."""
    return {name: value for name, value in asdict(recipe).items() if name != "built"}
