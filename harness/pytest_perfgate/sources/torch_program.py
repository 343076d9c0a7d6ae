"""A program of torch.export.save: "file.pt2"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import EXPORTED
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources.finished_file import FinishedFile, head_of
from pytest_perfgate.sources.torch_archive import opened
from pytest_perfgate.sources.torch_program_check import check_program


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
        head_of(file)
        with opened(file) as archive:
            if archive is None or not archive.is_program:
                raise RecipeError(
                    "the file is no program of torch.export", valid="a file of torch.export.save"
                )
            return check_program(archive)
