"""TorchScript: an archive of torch.jit.save, "file.torchscript" or "file.pt"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCHSCRIPT
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources.conversions import BUILDER
from pytest_perfgate.sources.finished_file import FinishedFile, head_of
from pytest_perfgate.sources.torch_archive import Archive, opened

_FILES = re.compile(rb"\b(?:torch|aten)\.(from_file|save|load)\b|aten::(from_file|save|load)\b")
"""Operators of TorchScript that read and write files."""

_CLASSES = re.compile(rb"torch\.classes\.(?!quantized\.)([\w.]+)")
"""Classes in C++ that a file may make objects of; those of quantized layers hold weights."""


class TorchScript(FinishedFile):
    """The source of a model whose name ends in .torchscript or .pt.

    torch.jit.load runs no Python and unpickles tensors, numbers and TorchScript's own classes only;
    these may bring code in TorchScript that runs as they are loaded. Its operators on files and
    classes from elsewhere are refused.
    """

    gives = TORCHSCRIPT
    example = "file.torchscript"
    suffixes = (".torchscript", ".pt")
    requires = (registry.from_extra("torch", "torch"),)

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """Nothing, of an archive of torch.jit.save."""
        head_of(file)
        with opened(file) as archive:
            if archive is None or not archive.is_torchscript:
                raise RecipeError(
                    "the file is no TorchScript archive",
                    valid="a file of torch.jit.save",
                    next_step=f"{BUILDER}; or export it, for Ultralytics: yolo export "
                    f"model={file.name} format=onnx",
                )
            _refuse_elsewhere(archive)
        return {}


def _refuse_elsewhere(archive: Archive) -> None:
    for name in sorted(archive.names):
        if name.endswith((".py", ".pkl")):
            content = archive.read(name)
            if name.endswith(".py") and (found := _FILES.search(content)):
                raise RecipeError(
                    f"the model reads or writes files: {found.group().decode()} in {name}",
                    next_step="trace the model without it",
                )
            if found := _CLASSES.search(content):
                raise RecipeError(
                    f"the model has objects of the C++ class {found.group(1).decode()!r}",
                    next_step="export the model with torch.export or to ONNX",
                )
