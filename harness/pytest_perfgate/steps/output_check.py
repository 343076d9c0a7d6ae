"""The outputs of a model in its several forms, and how far two sets of them are apart.

For steps that promise to keep the numbers. Outputs are float32 arrays, whatever computed them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from pytest_perfgate.artifact import dtype_of
from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes.onnxruntime_inputs import taken_by
from pytest_perfgate.stats.detection_sets import set_difference
from pytest_perfgate.steps import expect

CHECKED = (1, 3)
"""Batch sizes: one that tracing specialises on, and one that no step takes as its example."""


def tensors(inputs: Inputs, dtype: Any = None) -> tuple[Any, ...]:
    """What a torch module is called with: a tensor for each input, floating-point ones in `dtype`;
    None: as they are.
    """
    import torch

    plain = map(torch.from_numpy, inputs.arrays)
    return tuple(x.to(dtype) if dtype is not None and x.is_floating_point() else x for x in plain)


def dynamic_batch(inputs: Inputs, batch: Any) -> tuple[Any, ...]:
    """The `dynamic_shapes` of torch.export: `batch`, a `torch.export.Dim`, as the first dimension
    of every input but the constants.
    """
    return ({0: batch}, *({} if name in inputs.constants else {0: batch} for name in inputs.others))


def module_outputs(module: Any, inputs: Inputs) -> tuple[Any, ...]:
    """The outputs of a torch module for `inputs`, in the module's own type."""
    import torch

    with torch.inference_mode():
        outputs = module(*tensors(inputs, dtype_of(module)))
    outputs = (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)
    return tuple(
        (output.float() if output.is_floating_point() else output).numpy() for output in outputs
    )


def graph_inputs(graph: Any) -> list[Any]:
    """The inputs of an ONNX graph that are no weights: before IR version 4 these are listed among
    the inputs, too.
    """
    weights = {tensor.name for tensor in graph.initializer}
    return [entry for entry in graph.input if entry.name not in weights]


def image_input(graph: Any) -> Any:
    """The input of an ONNX graph that takes the images: the first of four axes."""
    entries = graph_inputs(graph)
    return next((one for one in entries if len(one.type.tensor_type.shape.dim) == 4), entries[0])


def batches(model: Any) -> tuple[int, ...]:
    """The batch sizes to check an ONNX model at: its own where that is fixed."""
    own = own_batch(model.graph)
    return (own,) if own else CHECKED


def own_batch(graph: Any) -> int:
    """The batch that an ONNX graph fixes for its images; 0 for any, which exporters of Paddle write
    as -1.
    """
    return max(0, int(image_input(graph).type.tensor_type.shape.dim[0].dim_value))


def onnx_session(model: Path | bytes, threads: int, *, exact: bool = False) -> Any:
    """ONNX Runtime on a CPU, silent, on a file or on a model's bytes. Exact: each operator as ONNX
    defines it, quantized ones in float behind their Q/DQ pairs, whatever the CPU's 8-bit products.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def onnx_outputs(session: Any, inputs: Inputs) -> tuple[Any, ...]:
    """The outputs of an `onnx_session` for `inputs`.

    Raises:
        BuildError: the graph does not run a batch of this size.
        InputError: the graph takes other inputs.
    """
    import numpy as np

    fed = inputs.feed(taken_by(session))
    try:
        outputs = session.run(None, fed)
    except Exception as error:
        raise BuildError(
            f"the graph does not run a batch of {len(inputs)}: {error}",
            next_step="look for a shape that was fixed when the graph was made",
        ) from error
    return tuple(
        output.astype(np.float32) if output.dtype == np.float16 else output for output in outputs
    )


def largest_difference(expected: Sequence[Any], outputs: Sequence[Any], images: int = 0) -> float:
    """The largest difference of any output, relative to that output's largest value (1 at the
    least); infinite when anything is not finite. Detections of so many `images` may have another
    order, see `set_difference`; 0: outputs are compared by position alone.

    Raises:
        BuildError: there are not as many outputs, or not of the same shapes.
    """
    import numpy as np

    as_sets = set_difference(expected, outputs, images, least=1.0) if images else math.inf
    shapes = [[list(value.shape) for value in side] for side in (expected, outputs)]
    if shapes[0] != shapes[1]:
        if math.isfinite(as_sets):
            return as_sets
        raise BuildError(f"the outputs have the shapes {shapes[1]}", valid=str(shapes[0]))
    worst = 0.0
    for ours, theirs in zip(expected, outputs, strict=True):
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return math.inf
        scale = max(1.0, float(np.abs(ours).max(initial=0.0)))
        apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        worst = max(worst, float(apart.max(initial=0.0)) / scale)
    return min(worst, as_sets)


NOTHING_IN_COMMON = 2.0
"""The largest `difference` there is."""


_SMALLEST = 2**-13
"""The largest value of an output whose thousandth is float32's rounding of 1, 2**-23."""


def difference(ours: Any, theirs: Any, usual: float = 0.0) -> float:
    """The largest difference of two arrays, relative to the largest value of either, or to what is
    `usual` where both are small: 0 for equal ones, `NOTHING_IN_COMMON` at the most, where `theirs`
    is finite and `ours` is not, and for arrays of two shapes.

    Scores of an image with nothing on it are of the size of a sigmoid's rounding. Where no score is
    larger on any image, they count relative to `_SMALLEST`.
    """
    import numpy as np

    if np.shape(ours) != np.shape(theirs):
        return NOTHING_IN_COMMON
    own, other = _where_finite(ours, theirs)
    if not own.size:
        return 0.0
    if not np.isfinite(own).all():
        return NOTHING_IN_COMMON
    scale = max(float(np.abs(own).max()), float(np.abs(other).max()), usual, _SMALLEST)
    return float(np.abs(own - other).max()) / scale


def spread(ours: Any, theirs: Any, usual: float = 0.0) -> float:
    """The root mean square of the difference of two arrays, relative to that of `theirs`, or to
    what is `usual` where it is less; `NOTHING_IN_COMMON` at the most, where `theirs` is finite and
    `ours` is not, and for arrays of two shapes. One code of 8 bits that is off here and there
    counts for as little as it is.
    """
    import numpy as np

    if np.shape(ours) != np.shape(theirs):
        return NOTHING_IN_COMMON
    own, other = _where_finite(ours, theirs)
    if not own.size:
        return 0.0
    if not np.isfinite(own).all():
        return NOTHING_IN_COMMON
    scale = max(float(np.sqrt(np.mean(other**2))), usual)
    apart = float(np.sqrt(np.mean((own - other) ** 2)))
    if not apart:
        return 0.0
    return min(apart / scale, NOTHING_IN_COMMON) if scale else NOTHING_IN_COMMON


def hides_nan(ours: Any, theirs: Any) -> bool:
    """Whether `ours` has a number where `theirs`, of the same shape, is not one."""
    import numpy as np

    own, other = np.asarray(ours), np.asarray(theirs)
    if own.shape != other.shape or other.dtype.kind != "f":
        return False
    return bool((np.isnan(other) & ~np.isnan(own)).any())


def usual_size(values: Any, *, coarse: bool) -> float:
    """The size of an array that differences are relative to: its largest value, as `difference`
    takes it, or if `coarse` its root mean square, as `spread` does; 0 where nothing is finite.
    """
    import numpy as np

    finite = np.asarray(values, dtype=np.float64)[np.isfinite(values)]
    if not finite.size:
        return 0.0
    return float(np.sqrt(np.mean(finite**2)) if coarse else np.abs(finite).max())


def _where_finite(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Both, one-dimensional, without the places where `theirs` is not finite."""
    import numpy as np

    own, other = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    known = np.isfinite(other)
    return own[known], other[known]


def short(value: float) -> float:
    """Three digits, which is what a difference is worth."""
    return float(f"{value:.3g}")


def finite(difference: float) -> float | None:
    """A difference as an effect holds it: JSON has no infinity, so that is None."""
    return short(difference) if math.isfinite(difference) else None


def tolerance_option(default: float) -> Any:
    """The option `tolerance` of a step that promises to keep the numbers."""
    return Field(
        default,
        gt=0,
        description="largest relative difference of an output, to the output's largest value",
    )


def expect_close(step: str, effect: Mapping[str, Any], options: Any, others: str) -> None:
    """Check that `largest_difference` is at most the option `tolerance`; `others` are the outputs
    that the step's are compared with, in words.

    Raises:
        NoEffect: it is larger, or not finite.
    """
    difference = effect["largest_difference"]
    expect(
        difference is not None and difference <= options.tolerance,
        step,
        f"outputs differ by {'infinity' if difference is None else difference} from {others}, "
        f"more than {options.tolerance}",
    )
