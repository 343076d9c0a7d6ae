"""`perfgate.toml` at the project's root: the kinds of machines that suites name as targets."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pytest_perfgate.errors import RecipeError, suggestion
from pytest_perfgate.suite.tables import NAME, Place

FILE = "perfgate.toml"

HERE, THERE = "here", "there"
LABEL, FINGERPRINT, SSH = "label", "fingerprint", "ssh"
_FORMS = (
    f'"{LABEL}:WORD" (pytest --perf-labels=WORD on that machine), "{FINGERPRINT}:ID" (the machine '
    f'that pytest --perf names in its header), "{SSH}:HOST" or "{SSH}:USER@HOST"'
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# ssh(1) takes a destination that begins with "-" for an option: never here.
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9\[][A-Za-z0-9._:%\[\]-]*")


@dataclass(frozen=True)
class Target:
    """A kind of machine.

    Attributes:
        name: as suites and tests name it.
        form: `LABEL`, `FINGERPRINT` or `SSH`.
        value: the label, the fingerprint's id, or the host as ssh takes it.
        python: of an ssh host, its interpreter.
        cache: of an ssh host, the folder that stays; relative to the home of its user.
        build: of an ssh host, `HERE` or `THERE`: where artifacts are built that run anywhere.
    """

    name: str
    form: str
    value: str
    python: str = "python3"
    cache: str = ".cache/pytest-perfgate/targets"
    build: str = HERE

    def __str__(self) -> str:
        return f"{self.form}:{self.value}"


class TargetTable(BaseModel):
    """One `[targets.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: str = Field(description=f"which machine it is: {_FORMS}")
    python: str = Field(
        "", description="of an ssh host: the interpreter with the packages; default: python3"
    )
    cache: str = Field(
        "",
        description="of an ssh host: the folder for what is copied there, below the user's home; "
        "default: .cache/pytest-perfgate/targets",
    )
    build: Literal["", "here", "there"] = Field(
        "",
        description="of an ssh host: where artifacts are built that run anywhere, here, where the "
        "session runs, or there; default: here",
    )


class Targets:
    """The targets of a project, read when the first suite names one.

    Args:
        root: the project's root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, Target] | None = None

    def check(self, names: tuple[str, ...], where: str) -> None:
        """Check that all targets of a suite are known; `where` names its key.

        Raises:
            RecipeError: one is not, or the file cannot be used.
        """
        for index, name in enumerate(names):
            if name in names[:index]:
                raise RecipeError(f"{name!r} is there twice", where=f"{where}[{index}]")
            if name not in self._all():
                raise RecipeError(
                    f"{name!r} is not a target",
                    where=f"{where}[{index}]",
                    valid=suggestion(name, self._all()) if self._all() else "",
                    next_step=f"add to {FILE} beside the project's pytest configuration: "
                    f'[targets.{name}] with machine = "ssh:HOST"',
                )

    def __getitem__(self, name: str) -> Target:
        return self._all()[name]

    def _all(self) -> Mapping[str, Target]:
        if self._known is None:
            self._known = _read(self._root / FILE)
        return self._known


def _read(file: Path) -> dict[str, Target]:
    """The targets of a file; none where there is no file."""
    place = Place(FILE)
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RecipeError(f"it cannot be read: {error.strerror}", where=FILE) from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"it is not TOML: {error}", where=FILE, next_step="fix that line"
        ) from None
    if unknown := sorted(data.keys() - {"targets"}):
        raise place.error(f"{unknown[0]!r} is not a key of the file", unknown[0], valid="targets")
    tables = data.get("targets", {})
    if not isinstance(tables, dict):
        raise place.error("it is not a table", "targets", valid="[targets.NAME]")
    return {name: _target(place, name, table) for name, table in tables.items()}


def _target(place: Place, name: str, data: Any) -> Target:
    key = f"targets.{name}"
    if not NAME.fullmatch(name):
        raise place.error(f"{name!r} cannot be a target's name", key, valid=NAME.pattern)
    table = place.validate(TargetTable, data, key)
    form, _, value = table.machine.partition(":")
    pattern = {LABEL: _WORD, FINGERPRINT: _WORD, SSH: _HOST}.get(form)
    if pattern is None or not pattern.fullmatch(value):
        raise place.error(f"{table.machine!r} names no machine", f"{key}.machine", valid=_FORMS)
    for option in ("python", "cache", "build"):
        text = getattr(table, option)
        if text and form != SSH:
            raise place.error(
                f"a machine by its {form} has no {option} of its own", f"{key}.{option}", valid=SSH
            )
        if text.startswith("-") or any(not character.isprintable() for character in text):
            raise place.error(f"{text!r} is not a path", f"{key}.{option}")
    # Both begin at the home of the user there; no shell expands them.
    texts = {option: getattr(table, option).removeprefix("~/") for option in ("python", "cache")}
    texts["build"] = table.build
    given = {option: text for option, text in texts.items() if text}
    return Target(name, form, value, **given)
