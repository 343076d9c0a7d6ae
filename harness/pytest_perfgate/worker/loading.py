"""What an arm loads before its time begins: frameworks, and the images that it cycles through."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def preload(modules: Sequence[str]) -> None:
    """Imports frameworks; the arm that needs a missing one will say so."""
    # Before the fork: arms then share the pages of the code, and differ in nothing that depends on
    # the order of imports.
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def read_images(file: Path) -> list[Any]:
    """Images that a "prepare" job wrote: uint8 (H, W, 3) each."""
    import numpy as np

    with np.load(file, allow_pickle=False) as stored:
        return [stored[name] for name in stored.files]
