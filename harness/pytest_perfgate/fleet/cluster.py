"""The file that tells `pytest-perfgate plan` which runners and builders there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.frozen import Frozen

_LARGEST = 1 << 20
_Speed = Annotated[float, Field(gt=0, le=1000)]
_Count = Annotated[int, Field(ge=1, le=10_000)]

EXAMPLE = '{"runners": {"cpu": {"count": 8}, "jetson": {"count": 2, "speed": 0.25}}}'
"""A file with all that must be in one."""


class Runners(Frozen):
    """Machines of one kind that measure, one CI job at a time each.

    Attributes:
        count: how many.
        machine: identity of the machine whose sessions give the times; "": any machine.
        speed: of one, where 1 is the machine of the sessions: 0.25 takes four times as long.
        suites: names of the suites that are measured on this kind; (): all.
    """

    count: _Count
    machine: str = ""
    speed: _Speed = 1.0
    suites: tuple[str, ...] = ()


class Builders(Frozen):
    """Nodes that build and evaluate, as with `--perf-fleet`.

    Attributes:
        count: how many.
        cores: of each.
        speed: of a core, where 1 is one of the machine of the sessions.
    """

    count: _Count
    cores: _Count
    speed: _Speed = 1.0


class Cluster(Frozen):
    """Runners by the name of their kind.

    Attributes:
        builders: None: each runner builds what it measures.
        start: seconds from the moment when a job has its runner to the start of pytest: checkout,
            environment.
    """

    runners: dict[str, Runners] = Field(min_length=1)
    builders: Builders | None = None
    start: float = Field(default=0.0, ge=0, le=86_400)

    @model_validator(mode="after")
    def _named(self) -> Cluster:
        if "" in self.runners:
            raise ValueError("a kind of runners has no name")
        return self


def read(file: Path) -> Cluster:
    """A cluster from its JSON file.

    Raises:
        PerfgateError: it cannot be read, or is not such a file.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise _unusable(file, f"it has more than {_LARGEST:,} bytes")
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(file, f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(file, f"it is not JSON: {error}") from error
    try:
        return Cluster.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"])
        shown = f" (it is {first['input']!r:.80})" if first["type"] != "value_error" else ""
        raise _unusable(file, f"{place}{first['msg']}{shown}") from error


def _unusable(file: Path, problem: str) -> PerfgateError:
    return PerfgateError(problem, where=str(file), valid=EXAMPLE, next_step="docs/fleet.md, A plan")
