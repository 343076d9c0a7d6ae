"""A torch module as an ONNX file, with a dynamic batch by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.output_check import dynamic_batch, tensors
from pytest_perfgate.steps.quiet import quiet

_IMAGES = "images"
"""The name of the input of images, where there are others: `[suite.input.others]` names these."""

FIXED_BATCH = (
    "look in `forward` for a batch that is fixed, such as reshape(1, …), and write x.shape[0]"
)


def write_onnx(
    module: Any,
    path: Path,
    example: Inputs,
    *,
    opset_version: int,
    batch: Literal[1] | None = None,
    next_step: str = FIXED_BATCH,
) -> None:
    """Write `module` to `path`.

    Args:
        module: a torch module in eval mode, or an exported graph.
        path: of the ONNX file; its weights are in it.
        example: inputs for a batch of two, or of `batch`.
        opset_version: ONNX operator set.
        batch: fixes the batch; None: any batch.
        next_step: of the error.

    Raises:
        BuildError: torch cannot export it.
    """
    import torch

    with quiet():
        try:
            program = torch.onnx.export(
                module,
                tensors(example),
                dynamo=True,
                opset_version=opset_version,
                dynamic_shapes=None if batch else dynamic_batch(example, torch.export.Dim("batch")),
                # A single input keeps the name that `forward` gives it.
                input_names=[_IMAGES, *example.others] if example.others else None,
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            size = f"a batch of {batch}" if batch else "a dynamic batch"
            raise BuildError(
                f"the module does not export with {size}: {first_error(error)}",
                next_step=next_step,
            ) from error
        if program is None:
            raise BuildError("torch.onnx.export returned no program")
        program.save(str(path), external_data=False)
    _forget_source(path)


def first_error(error: BaseException) -> str:
    """What went wrong first, in the exporter's words: it wraps that in its own report."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:600]}"


def _forget_source(path: Path) -> None:
    """Takes out where in the source each node comes from: the same model exported from another
    folder must give the same file.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    graph.doc_string = ""
    for entry in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        entry.doc_string = ""
        del entry.metadata_props[:]
    for holder in (model, graph, *model.functions):
        del holder.metadata_props[:]
    onnx.save(model, path)
