"""What steps give and runtimes take, and the base of the options of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

TORCH = "torch"
ONNX = "onnx"


class OptionsModel(BaseModel):
    """Base of every options model: frozen, and an unknown option is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Artifact:
    """What a step takes and gives.

    Attributes:
        kind: "torch" (a live module) or "onnx" (a file).
        module: the torch module in eval mode, for kind "torch".
        path: the file, for kind "onnx"; external data lies beside it.
    """

    kind: str
    module: Any = None
    path: Path | None = None
