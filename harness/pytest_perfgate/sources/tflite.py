"""LiteRT (TensorFlow Lite): "file.tflite"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate.artifact import TFLITE
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.finished_file import FinishedFile, file_of
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

    @override
    def inputs(self, model: str, options: Any, fence: Fence) -> tuple[Tensor, ...] | None:
        """The inputs of the file; None where its package is not installed. Of codes of uint8 with a
        scale, `[suite.input]` gives pixels as they are, or floats of which the runtime makes codes.
        """
        file = file_of(model, fence)
        if file is None:
            return None
        return tuple(
            Tensor(
                tensor.name,
                tensor.kind,
                tuple("?" if size < 0 else size for size in tensor.shape),
                (tensor.scale, tensor.zero_point) if tensor.scale else None,
                takes_floats=tensor.kind == "uint8" and bool(tensor.scale),
            )
            for tensor in read_inputs(file)
        )
