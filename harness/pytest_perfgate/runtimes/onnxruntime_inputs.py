"""The inputs of a session of ONNX Runtime, by numpy's names of their types."""

from __future__ import annotations

from typing import Any

_NUMPY = {"float": "float32", "double": "float64"}


def dtype_name(kind: str) -> str:
    """Numpy's name of a type of ONNX: "float" is "float32"."""
    return _NUMPY.get(kind.lower(), kind.lower())


def taken_by(session: Any) -> dict[str, str]:
    """Names of the inputs of a session, in its order, each with its numpy dtype."""
    return {
        entry.name: dtype_name(entry.type[len("tensor(") : -1]) for entry in session.get_inputs()
    }


def fixed_batch(session: Any) -> int:
    """The batch that its images have, 0 for any; the images are the first input of four axes."""
    entries = session.get_inputs()
    shape = next((one.shape for one in entries if len(one.shape) == 4), entries[0].shape)
    return shape[0] if shape and isinstance(shape[0], int) else 0
