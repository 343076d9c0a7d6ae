"""An ONNX graph whose images may have other lengths than the file fixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.inputs import Tensor

_MOST = 2**31 - 2**20
"""Bytes of a protocol buffer, with some room: weights of side files are written into it."""


def free(inputs: Sequence[Tensor], axes: Sequence[int]) -> tuple[Tensor, ...]:
    """The inputs of a graph, with any length in place of those of `axes` of its images.

    Raises:
        RecipeError: there are no images, or a length is not fixed.
    """
    if not axes:
        return tuple(inputs)
    place = next(
        (place for place, tensor in enumerate(inputs) if len(tensor.shape or ()) == 4), None
    )
    if place is None:
        raise RecipeError(
            f"the file takes {', '.join(map(str, inputs)) or 'nothing'}",
            where=_WHERE,
            valid="an input of four axes: images",
        )
    images = inputs[place]
    shape: list[int | str] = list(images.shape or ())
    for axis in axes:
        if isinstance(shape[axis], str):
            raise RecipeError(
                f"axis {axis} has any length already: the file takes {images}",
                where=_WHERE,
                next_step=f"leave {axis} out",
            )
        shape[axis] = "?"
    return (*inputs[:place], replace(images, shape=tuple(shape)), *inputs[place + 1 :])


def write_free(file: Path, axes: Sequence[int], target: Path) -> None:
    """Writes the graph of `file` to `target`, with any length in place of those of `axes` of its
    images. Lengths of outputs and of values between follow from the operators.

    Raises:
        BuildError: with its weights the graph is too large for one file.
    """
    import onnx

    model = onnx.load(file)
    if model.ByteSize() > _MOST:
        raise BuildError(
            f"the graph has {model.ByteSize():,} bytes with its weights, too many for one file",
            where=str(file),
            next_step="export it with these axes dynamic",
        )
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    images = next(
        entry
        for entry in graph.input
        if entry.name not in weights and len(entry.type.tensor_type.shape.dim) == 4
    )
    for axis in axes:
        _clear(images, axis)
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(model, target)


_WHERE = "suite.model: dynamic_axes"


def _clear(images: Any, axis: int) -> None:
    size = images.type.tensor_type.shape.dim[axis]
    size.Clear()
    size.dim_param = f"axis_{axis}"
