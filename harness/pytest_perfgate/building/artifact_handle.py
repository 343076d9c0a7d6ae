"""What a process needs to know to open a built artifact: plain data that crosses to other workers.

Nothing heavy is imported here: the pytest process hands these on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pytest_perfgate.records.recipe import ModelSpec


class Structure(BaseModel):
    """One structural change of a torch module, to be repeated before weights are loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    options: dict[str, Any]
    data: Any


@dataclass(frozen=True)
class ArtifactHandle:
    """A built artifact in the cache.

    Attributes:
        kind: of the artifact.
        path: its main file; None when the model's own source is all there is.
        model: the torch module that is built before its weights are loaded.
        made: what the model's source makes it again from, see `sources.SourceModel`.
        structures: structural changes that are repeated before weights are loaded.
        compiled: the folder in which the runtime keeps what it compiles; None before the
            evaluation has chosen it.
    """

    kind: str
    path: Path | None
    model: ModelSpec
    made: Any = None
    structures: tuple[Structure, ...] = ()
    compiled: Path | None = None
