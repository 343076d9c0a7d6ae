"""LiteRT (TensorFlow Lite): "file.tflite"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate.artifact import TFLITE
from pytest_perfgate.sources.finished_file import FinishedFile
from pytest_perfgate.sources.tflite_header import read_inputs


class TfLite(FinishedFile):
    """The source of a model whose name ends in .tflite."""

    gives = TFLITE
    example = "file.tflite"
    suffixes = (".tflite",)

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """Its inputs."""
        return {"inputs": list(map(str, read_inputs(file)))}
