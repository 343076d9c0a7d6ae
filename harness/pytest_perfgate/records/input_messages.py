"""What workers are asked and tell of the inputs of recipes; see `worker.protocol`."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfgate.records.recipe import Suite


@dataclass(frozen=True)
class DataKeysJob:
    """Digest the data of these splits and of those that recipes are judged on."""

    suite: Suite
    splits: tuple[str, ...]


@dataclass(frozen=True)
class DataKeys:
    """The answer to a `DataKeysJob`: `building.keys.data_keys`."""

    keys: dict[str, str]


@dataclass(frozen=True)
class FilesRead:
    """Names of what a process read (`building.project_code.Watch.names`), of the arm `label` where
    it is one.
    """

    names: tuple[str, ...]
    label: str = ""


@dataclass(frozen=True)
class InputsRead:
    """What was read for an arm.

    Attributes:
        digests: what its build and its evaluation read, with digests.
        names: what else was read, without.
        data: as in `DataKeys`.
    """

    digests: dict[str, str]
    names: frozenset[str]
    data: dict[str, str]
