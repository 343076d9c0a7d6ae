"""A program of torch.export.save: "file.pt2"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import EXPORTED
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.finished_file import FinishedFile, file_of, head_of
from pytest_perfgate.sources.torch_archive import opened
from pytest_perfgate.sources.torch_program_check import Program, check_program


class TorchProgram(FinishedFile):
    """The source of a model whose name ends in .pt2."""

    gives = EXPORTED
    example = "file.pt2"
    suffixes = (".pt2",)
    requires = (registry.from_extra("torch", "torch"),)

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """The number of its operators, and the torch that wrote it.

        Raises:
            RecipeError: it is no program, or has something that could run other code.
        """
        program = self._checked(file)
        return {"operators": program.operators, "torch": program.torch}

    @override
    def inputs(self, model: str, options: Any, fence: Fence) -> tuple[Tensor, ...] | None:
        """The arguments of the program; None where its package is not installed."""
        file = file_of(model, fence)
        return None if file is None else self._checked(file).inputs

    @staticmethod
    def _checked(file: Path) -> Program:
        head_of(file)
        with opened(file) as archive:
            if archive is None or not archive.is_program:
                raise RecipeError(
                    "the file is no program of torch.export", valid="a file of torch.export.save"
                )
            return check_program(archive)
