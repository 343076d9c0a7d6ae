"""Ranges of activations, calibrated once for every recipe that asks for the same."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pytest_perfgate.inputs import Inputs

_ARGUMENT = "calibration_cache_path"
"""ONNX Runtime's name for the file of ranges; older versions have it not."""

DECIDES = ("calibrate_method", "samples", "activation_symmetric", "op_types_to_quantize")
"""Options of `quantize` that ranges depend on."""


class Ranges:
    """The file that keeps a graph's ranges on some images.

    It is found by a digest of the prepared graph, of every calibration input, of the options that
    decide, and by ONNX Runtime's version: any other of these has a file of its own.
    """

    def __init__(
        self, folder: Path | None, plain: Path, options: Any, inputs: Callable[[], Iterable[Inputs]]
    ) -> None:
        import onnxruntime
        from onnxruntime.quantization import quantize_static

        self.path: Path | None = None
        self.images = 0
        if folder is None or _ARGUMENT not in inspect.signature(quantize_static).parameters:
            return
        deciding = options.model_dump(mode="json", include=set(DECIDES))
        key = hashlib.sha256(json.dumps([onnxruntime.__version__, deciding]).encode())
        key.update(plain.read_bytes())
        for one in inputs():
            for array in one.arrays:
                key.update(f"{array.shape}{array.dtype}".encode())
                key.update(array.tobytes())
            self.images += 1
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{key.hexdigest()}.json"
        if self.path.exists() and not _whole(self.path):
            self.path.unlink()  # a disk that was full; ranges are calibrated anew

    @property
    def kept(self) -> bool:
        """Whether they need not be calibrated."""
        return self.path is not None and self.path.exists()

    @property
    def arguments(self) -> dict[str, Any]:
        """For `quantize_static`, which reads and writes the file."""
        return {} if self.path is None else {_ARGUMENT: self.path}


def _whole(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
