"""ncnn: a network in "file.param", its weights beside it in "file.bin"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate.artifact import NCNN
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources.finished_file import FinishedFile, head_of

_MAGIC = "7767517"
_VALID = "a text file of ncnn's, such as pnnx writes, with its weights in .bin"


class NcnnFiles(FinishedFile):
    """The source of a model whose name ends in .param."""

    gives = NCNN
    example = "file.param"
    suffixes = (".param",)
    siblings = (".bin",)

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """The number of its layers, and its inputs."""
        head_of(file)
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except UnicodeDecodeError:
            lines = []  # the binary form, .param.bin
        if not lines or lines[0].strip() != _MAGIC:
            raise RecipeError(f"the first line is not {_MAGIC}", valid=_VALID)
        layers = [line.split() for line in lines[2:] if line.strip()]
        count = lines[1].split()[0] if len(lines) > 1 and lines[1].strip() else "no number"
        if count != str(len(layers)):
            raise RecipeError(f"the file has {len(layers)} layers of {count}", valid=_VALID)
        self.beside(file, outside=True)
        inputs = [words[1] for words in layers if words[0] == "Input" and len(words) > 1]
        return {"layers": len(layers), "inputs": inputs}
