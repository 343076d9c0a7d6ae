"""What a recipe's results rest on, by digests: while they are equal, so is what would be measured.

A session keeps them beside what it measured, so that a later one can tell which recipes a change
can touch (`--perf-affected`) without a checkout of the earlier code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import Field

from pytest_perfgate.files import digest_of
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.fingerprint import Environment
from pytest_perfgate.machine.fingerprint import differences as of_environments

CHANGED = "changed while it was read"
"""In place of the digest of a file whose content when it was used nobody knows: it equals none, so
that what rests on it is made anew by the next session."""

MODULES, NAMES, CONTENTS = "/", "/?", "/*"
"""Ends of names that stand for a folder: for the modules in it, for all names in it, and for all
names with the content of the files."""


class SuiteInputs(Frozen):
    """What all recipes of a suite rest on.

    Attributes:
        program: version and code of this project, and the interpreter.
        machine: the id of the fingerprint.
        environment: of the session that measured the suite.
        timing: settings of the session that decide what is timed, and how, in words.
        packages: each installed distribution with its version and a digest of its files.
        variables: each environment variable that workers inherit, with a digest of its value.
    """

    program: str
    machine: str
    environment: Environment
    timing: dict[str, str] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict)


class RecipeInputs(Frozen):
    """What one recipe rests on besides.

    Attributes:
        declared: digest of the recipe with all that it inherits, of its reference, and of the suite
            around them.
        data: each split that it is built from or judged on, with the digest of its images and
            annotations; each slicing with the digest of its slices.
        files: each file that was read for it, from the model to the last timed turn, with a digest;
            see `MODULES`, `NAMES`, `CONTENTS` for folders.
    """

    declared: str
    data: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)


class Unaffected(Frozen):
    """A recipe that was not measured because nothing that it rests on has changed.

    Attributes:
        recipe, reference: its name, and that of the one that it is compared with.
        session, started, commit: of the session that measured it.
        key: `key_of` its inputs.
    """

    recipe: str
    reference: str
    session: str
    started: str
    commit: str
    key: str

    @property
    def origin(self) -> str:
        """The session that measured it, for people."""
        day = datetime.fromisoformat(self.started).date().isoformat()
        return f"session {self.session} of {day}, commit {self.commit[:10]}"


def key_of(suite: SuiteInputs, recipe: RecipeInputs) -> str:
    """One digest of all that a recipe rests on."""
    return digest_of([suite.model_dump(mode="json"), recipe.model_dump(mode="json")])


def suite_differences(then: SuiteInputs, now: SuiteInputs) -> Iterator[str]:
    """What all recipes of a suite rest on and is not as it was, in words."""
    if then.program != now.program:
        yield "this version of pytest-perfgate or Python"
    if then.machine != now.machine:
        yield f"the machine ({then.machine} -> {now.machine})"
    yield from of_environments(then.environment, now.environment)
    if then.environment != now.environment and not of_environments(
        then.environment, now.environment
    ):
        yield "the environment"
    for what, one, other in (
        ("the setting", then.timing, now.timing),
        ("the package", then.packages, now.packages),
        ("the environment variable", then.variables, now.variables),
    ):
        yield from (f"{what} {name}" for name in _unequal(one, other))


def recipe_differences(then: RecipeInputs, now: RecipeInputs) -> Iterator[str]:
    """What a recipe rests on and is not as it was, in words."""
    if then.declared != now.declared:
        yield "the recipe, its reference or the suite around them"
    yield from (f"the data {name}" for name in _unequal(then.data, now.data))
    yield from _unequal(then.files, now.files)


def _unequal(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Names that only one side has, or whose values differ, or were never known."""
    names = sorted(one.keys() | other.keys())
    return [name for name in names if one.get(name) != other.get(name) or one[name] == CHANGED]
