"""The graph that `quantize` starts from: of a new operator set, with shapes, and with unchanged
outputs.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps.onnx_weights import gather_weights
from pytest_perfgate.steps.output_check import (
    batches,
    largest_difference,
    onnx_outputs,
    onnx_session,
    short,
)

_OLDEST = 13
"""Per-channel scales need DequantizeLinear's axis, which came with this operator set."""

_NEWER = 17
"""The operator set that older graphs are converted to."""

_TOLERANCE = 1e-3  # of an output's largest value: kernels of two operator sets add in other orders


def prepare(source: Path, target: Path, options: Any, example: Any, threads: int) -> None:
    """Write `target`: `source` in an operator set that can be quantized, with inferred shapes.

    Args:
        source: the ONNX file.
        target: the file to write.
        options: those of the step.
        example: `example(n)` are the network's inputs for a batch of n.
        threads: threads of the comparison.

    Raises:
        BuildError: the conversion of the operator set changes outputs, or a layer cannot be
            quantized with these options.
    """
    import onnx

    _import_shape_inference()
    model = gather_weights(onnx.load(source))
    _refuse_grouped(model.graph, options)
    version = next(
        (opset.version for opset in model.opset_import if opset.domain in {"", "ai.onnx"}), _OLDEST
    )
    plain = target.with_name("plain.onnx")
    if version >= _OLDEST:
        onnx.save(_named(model), plain)
    else:
        onnx.save(_named(_converted(model, version)), plain)
        _check(source, plain, version, model, example, threads)
    _pre_process(plain, target)
    tried = _probes(model, example)
    if _apart(plain, target, tried, threads) > _TOLERANCE:
        # ONNX Runtime's optimizer has written a wrong graph: findings/onnxruntime-pad-max-pool.sh
        _pre_process(plain, target, skip_optimization=True)


def _pre_process(plain: Path, target: Path, **options: bool) -> None:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        quant_pre_process(str(plain), str(target), **options)
    except Exception:  # noqa: BLE001 - symbolic shape inference fails on some operators, in many ways
        quant_pre_process(str(plain), str(target), skip_symbolic_shape=True, **options)


def _named(model: Any) -> Any:
    """`model`, each of whose operators without a name has that of its first output: layers are
    ranked and left in float by their names.
    """
    known = {node.name for node in model.graph.node}
    for node in model.graph.node:
        if not node.name:
            name = node.output[0]
            while name in known:
                name += "_"
            known.add(name)
            node.name = name
    return model


def _import_shape_inference() -> None:
    """Import what ONNX Runtime infers shapes with, and not torch: its package `tools` imports that
    wherever it is installed, a second and 200 MB, for helpers of an export.
    """
    absent = "torch" not in sys.modules
    if absent:
        sys.modules["torch"] = None  # type: ignore[assignment] # Python's word for: there is none
    try:
        importlib.import_module("onnxruntime.tools.symbolic_shape_infer")
    except ImportError:  # sympy is missing: shapes are inferred without symbols
        return
    finally:
        if absent:
            del sys.modules["torch"]


def _converted(model: Any, version: int) -> Any:
    """`model` in a newer operator set. The converter of onnx drops the coordinates of Upsample and
    of Resize before operator set 11, which were asymmetric and rounded down.
    """
    import onnx

    try:
        newer = onnx.version_converter.convert_version(model, _NEWER)
    except Exception as error:
        raise BuildError(
            f"the graph of operator set {version} cannot be converted to {_NEWER}: {error}",
            next_step=f"export the model with operator set {_OLDEST} or newer",
        ) from error
    if version < 11:
        for node in newer.graph.node:
            if node.op_type == "Resize":
                kept = [
                    attribute
                    for attribute in node.attribute
                    if attribute.name not in {"coordinate_transformation_mode", "nearest_mode"}
                ]
                del node.attribute[:]
                node.attribute.extend(kept)
                for name, value in (
                    ("coordinate_transformation_mode", "asymmetric"),
                    ("nearest_mode", "floor"),
                ):
                    node.attribute.append(onnx.helper.make_attribute(name, value))
    return newer


def _check(source: Path, plain: Path, version: int, model: Any, example: Any, threads: int) -> None:
    """Compare the converted graph with the graph that came, on images and on noise."""
    try:
        apart = _apart(source, plain, _probes(model, example), threads)
    except BuildError as error:
        raise BuildError(
            f"the graph of operator set {version} does not run in {_NEWER}: {error.problem}",
            next_step=f"export the model with operator set {_OLDEST} or newer",
        ) from error
    if apart > _TOLERANCE:
        raise BuildError(
            f"the conversion from operator set {version} to {_NEWER} changes an output by "
            f"{short(apart)} of its largest value",
            next_step=f"export the model with operator set {_OLDEST} or newer",
        )


def _probes(model: Any, example: Any) -> tuple[Any, Any]:
    """Images, and noise of their shape."""
    images = example(batches(model)[0])
    return images, images.showing(_noise(images.images))


def _apart(one: Path, other: Path, tried: tuple[Any, ...], threads: int) -> float:
    """The largest relative difference of two graphs' outputs, each operator as ONNX defines it."""
    sessions = [onnx_session(file, threads, exact=True) for file in (one, other)]
    worst = 0.0
    for inputs in tried:
        ours, theirs = (onnx_outputs(session, inputs) for session in sessions)
        worst = max(worst, largest_difference(ours, theirs, len(inputs)))
    return worst


def _noise(images: Any) -> Any:
    """Normal noise for floats, any value for whole numbers."""
    import numpy as np

    random = np.random.default_rng(0)
    if images.dtype.kind == "f":
        return random.standard_normal(images.shape, dtype=np.float32).astype(images.dtype)
    ends = np.iinfo(images.dtype)
    return random.integers(ends.min, ends.max, images.shape, images.dtype, endpoint=True)


def _refuse_grouped(graph: Any, options: Any) -> None:
    """ONNX Runtime has one scale per channel of a group, and cannot store those of all groups."""
    if not options.per_channel or "ConvTranspose" not in options.op_types_to_quantize:
        return
    for node in graph.node:
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        excluded = node.name in options.nodes_to_exclude
        if node.op_type == "ConvTranspose" and groups > 1 and not excluded:
            raise BuildError(
                f"the ConvTranspose {node.name!r} has {groups} groups, and cannot have a scale per "
                "output channel",
                next_step="per_channel = false, or put it into nodes_to_exclude",
            )
