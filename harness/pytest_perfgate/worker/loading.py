"""What an arm loads before its time begins: frameworks, and the images that it cycles through."""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import BuildError
from pytest_perfgate.records.stored_arrays import stored_arrays


def preload(modules: Sequence[str]) -> None:
    """Imports frameworks; the arm that needs a missing one will say so."""
    # Before the fork: arms then share the pages of the code, and differ in nothing that depends on
    # the order of imports.
    gc.disable()  # an import leaves no garbage, and the search for it takes a fifth of torch's
    try:
        for name in modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    finally:
        gc.enable()


def read_images(file: Path) -> list[Any]:
    """Images that a "prepare" job wrote: uint8 (H, W, 3) each."""
    return list(read_arrays(file).values())


def read_arrays(file: Path) -> dict[str, Any]:
    """Arrays that another worker wrote with `numpy.savez`, by name. None takes more memory than it
    has bytes in the file.

    Raises:
        BuildError: the file is compressed, or an array claims to be larger than it is.
    """
    try:
        return stored_arrays(file)
    except ValueError as error:
        raise BuildError(
            str(error),
            where=str(file),
            valid="what numpy.savez writes",
            next_step="pytest-perfgate cache verify",
        ) from error
