"""What crosses between a session and the host that measures a suite for it, after the launcher."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from pytest_perfgate.machine.pipes import Vocabulary
from pytest_perfgate.records.built_links import BuiltLinks


# To the device.
@dataclass(frozen=True)
class There:
    """Folders on the device: of the project's copy, of what is built, of this package's copy, of
    the project at another version of its code, and of artifacts that the session has built.
    """

    root: Path
    cache: Path
    package: Path
    base: Path
    artifacts: Path


@dataclass(frozen=True)
class BaseJob:
    """The other version of the code, whose files are in `There.base`.

    Attributes:
        ref, commit: as `--perf-base` names it, and its full name.
        name: for people.
        taken, outside, problem: what git does not hold of what the suite names (`Brought`).
        built: recipe to the links that the session has built of it.
    """

    ref: str
    commit: str
    name: str
    taken: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    problem: str = ""
    built: dict[str, BuiltLinks] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceJob:
    """The only order: measure a suite.

    Attributes:
        target: the device's name in the suite.
        file, baselines, import_path: relative to the project's root.
        there: folders on the device.
        wanted: recipe to metrics.
        base: what the recipes are measured beside, None: nothing.
        built: recipe to the links that the session has built of it.
        alpha: the part of the session's that the limits of this suite have.
    """

    target: str
    there: There
    file: Path
    baselines: Path
    import_path: tuple[Path, ...]
    wanted: dict[str, tuple[str, ...]]
    alpha: float
    seconds: float
    timeout: float
    wait: float
    rounds: int
    profile: str
    update: bool
    search: bool
    command: str
    base: BaseJob | None = None
    built: dict[str, BuiltLinks] = field(default_factory=dict)


@dataclass(frozen=True)
class Beat:
    """The session is there."""


# From the device.
@dataclass(frozen=True)
class Shown:
    """Progress, or with `lasting` what people should read before the end."""

    text: str
    lasting: bool = False


@dataclass(frozen=True)
class Measured:
    """The suite's record as JSON, and the project's files that it rests on."""

    record: str
    files: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Unmeasured:
    """Why there is no record."""

    problem: str
    where: str = ""
    next_step: str = ""


Order = DeviceJob | Beat
Answer = Shown | Measured | Unmeasured

ORDERS = Vocabulary[Order](get_args(Order))
ANSWERS = Vocabulary[Answer](get_args(Answer))

BEAT = 5.0
"""Seconds between two beats."""
PATIENCE = 60.0
"""Seconds without a beat after which a device ends: its session is gone, or the link is."""
