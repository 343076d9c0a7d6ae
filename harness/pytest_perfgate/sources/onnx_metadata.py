"""What exporters note in the metadata of an ONNX file."""

from __future__ import annotations

import ast
from collections.abc import Mapping

_LONGEST = 200_000
"""Characters of a metadata value that is parsed: some thousand names."""


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the network's classes, as Ultralytics writes them: {0: 'person', 1: 'bicycle'}, or a
    list; () where there are none.
    """
    names = literal(metadata.get("names", ""))
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            return ()
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, (list, tuple)):
        return ()
    return tuple(str(name) for name in names)


def literal(text: str) -> object:
    """A value that is written as a Python literal; None: it is none. No code is run."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
