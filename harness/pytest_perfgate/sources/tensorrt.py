"""TensorRT: an engine in "file.engine", for one GPU and one version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate.artifact import TENSORRT
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources.finished_file import FinishedFile, head_of

_SMALLEST = 1024
"""Bytes; every engine has more, and a cut or empty file is told without a GPU."""


class TensorRtEngine(FinishedFile):
    """The source of a model whose name ends in .engine, .plan or .trt."""

    gives = TENSORRT
    example = "file.engine"
    suffixes = (".engine", ".plan", ".trt")

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """Its size: only TensorRT reads more of it, on the GPU that it was built for."""
        head_of(file)
        size = file.stat().st_size
        if size < _SMALLEST:
            raise RecipeError(f"the engine has {size} bytes", valid="a whole engine")
        return {"bytes": size}
