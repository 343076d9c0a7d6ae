"""quantize: an ONNX graph with 8-bit operators or weights, by ONNX Runtime's quantization."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.quantize_accuracy import SENSITIVITY_IMAGES, held
from pytest_perfgate.steps.quantize_ranges import Ranges

_CALIBRATION = "calibration"


class Quantize(Step):
    """The step `quantize`."""

    name = "quantize"
    argument = "method"
    accepts = frozenset({ONNX})
    produces = ONNX
    requires = (
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
    )
    splits = frozenset({_CALIBRATION})
    not_after: Mapping[str, str] = {
        "quantize": "its operators are 8-bit already",
        "half": "8-bit operators take their scales and biases in float32",
    }

    class Options(OptionsModel):
        """Options in onnxruntime.quantization's words."""

        method: Literal["static", "dynamic", "weight_only"] = Field(
            "static",
            description="ranges come from calibration images, from every input as it runs, or "
            "only weights are 8-bit and computed with in float",
        )
        activations: Literal["uint8", "int8"] = Field(
            "uint8", description="static: activation type"
        )
        weights: Literal["uint8", "int8"] = Field("int8", description="weight type")
        per_channel: bool = Field(True, description="a scale per output channel")
        calibrate_method: Literal["minmax", "entropy", "percentile"] = Field(
            "minmax", description="static: how ranges are chosen"
        )
        activation_symmetric: bool = Field(
            False, description="static: zero points of activations are 0, as TensorRT wants them"
        )
        quantize_bias: bool = Field(
            True, description="static: biases are 32-bit integers; TensorRT wants them in float"
        )
        samples: int = Field(64, ge=1, description="static: calibration images")
        op_types_to_quantize: tuple[str, ...] = Field(
            ("Conv", "Gemm", "MatMul", "Relu"), description="operators to quantize"
        )
        nodes_to_exclude: tuple[str, ...] = Field((), description="nodes that stay in float")
        accuracy_drop: float | None = Field(
            None,
            ge=0,
            description="static: layers stay in float, the most sensitive first, until the task's "
            "first metric loses no more than this on `accuracy_split`; an error when it cannot",
        )
        accuracy_split: Literal["calibration", "train"] = Field(
            "calibration", description="static: images that `accuracy_drop` is measured on"
        )
        max_excluded: int = Field(
            8, ge=1, description="static: layers that may stay in float for `accuracy_drop`"
        )

        @model_validator(mode="after")
        def _fits(self) -> Quantize.Options:
            """An option of another method is an error, not ignored."""
            wrong = sorted(self.changed & _STATIC_ONLY)
            if self.method != "static" and wrong:
                raise ValueError(f"{wrong[0]} is an option of 'static', not of {self.method!r}")
            if self.accuracy_drop is None:
                idle = sorted(self.changed & {"accuracy_split", "max_excluded"})
                if idle:
                    raise ValueError(f"{idle[0]} says nothing without accuracy_drop")
            if self.method == "weight_only" and self.weights != "int8":
                raise ValueError("weight_only has weights = 'int8'")
            return self

    @override
    def splits_with(self, options: Any) -> frozenset[str]:
        """The images that ranges and `accuracy_drop` come from: only `static` has them."""
        if options.method != "static":
            return frozenset()
        scored = {options.accuracy_split} if options.accuracy_drop is not None else set()
        return self.splits | scored

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Quantizes; `static` with calibration images of the suite."""
        import onnx

        if artifact.path is None:
            raise BuildError("there is no ONNX file to quantize")
        source = artifact.path.resolve()
        path = context.folder.resolve() / "model.onnx"
        more: dict[str, Any] = {}
        with _quiet(), tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
            # The library leaves files in the working directory; here they go with it.
            plain = Path(scratch) / "prepared.onnx"
            _prepare(source, plain)
            names = {node.name for node in onnx.load(plain).graph.node}
            for name in options.nodes_to_exclude:
                if name not in names:
                    raise BuildError(
                        f"nodes_to_exclude: the graph has no node {name!r}",
                        valid=suggestion(name, names),
                    )
            if options.method == "dynamic":
                _dynamic(plain, path, options)
            elif options.method == "weight_only":
                _weights_only(plain, path, options)
            elif options.accuracy_drop is None:
                more = _static(plain, path, options, context)
            else:
                more = held(
                    lambda floats: _static(plain, path, options, context, floats),
                    lambda: _reader(plain, context, SENSITIVITY_IMAGES),
                    files=(source, plain, path),
                    options=options,
                    context=context,
                )
        graph = onnx.load(path).graph
        quantized, quantizable = _count(graph, options)
        effect = {
            "quantized_ops": quantized,
            "quantizable_ops": quantizable,
            "quantized_share": round(quantized / max(1, quantizable), 4),
            **more,
            **(_asymmetric(graph) if options.method == "static" else {}),
            "bytes_before": source.stat().st_size,
            "bytes": path.stat().st_size,
        }
        return Applied(Artifact(ONNX, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Operators must have become 8-bit, of the kind and on the images that were asked for."""
        expect(
            effect["quantized_ops"] > 0,
            self.name,
            f"of {effect['quantizable_ops']} operators of the types "
            f"{', '.join(options.op_types_to_quantize)} none was quantized",
        )
        if options.method != "static":
            return
        expect(effect["calibration_images"] > 0, self.name, "no calibration image was used")
        if options.activation_symmetric:
            found = effect["zero_points_not_zero"]
            expect(found == 0, self.name, f"{found} zero points of activations are not 0")
        if not options.quantize_bias:
            found = effect["quantized_biases"]
            expect(found == 0, self.name, f"{found} biases were quantized")
        if options.accuracy_drop is not None:
            expect(
                effect["accuracy_drop"] <= options.accuracy_drop,
                self.name,
                f"accuracy fell by {effect['accuracy_drop']:.4f}",
            )


_STATIC_ONLY = {
    "activations",
    "calibrate_method",
    "activation_symmetric",
    "quantize_bias",
    "samples",
    "accuracy_drop",
    "accuracy_split",
    "max_excluded",
}


def _static(
    plain: Path, path: Path, options: Any, context: BuildContext, floats: Sequence[str] = ()
) -> dict[str, Any]:
    """Quantizes with calibration images; the nodes `floats` stay as they are, too."""
    from onnxruntime import quantization

    methods = {
        "minmax": quantization.CalibrationMethod.MinMax,
        "entropy": quantization.CalibrationMethod.Entropy,
        "percentile": quantization.CalibrationMethod.Percentile,
    }
    reader = _reader(plain, context, options.samples)
    ranges = Ranges(
        context.cache, plain, options, lambda: context.inputs(_CALIBRATION, options.samples)
    )
    if kept := ranges.kept:
        context.progress(ranges.images, ranges.images, "calibrated before")
    quantization.quantize_static(
        str(plain),
        str(path),
        reader,
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=_type(options.activations),
        weight_type=_type(options.weights),
        per_channel=options.per_channel,
        calibrate_method=methods[options.calibrate_method],
        op_types_to_quantize=list(options.op_types_to_quantize),
        nodes_to_exclude=[*options.nodes_to_exclude, *floats],
        extra_options={
            "CalibTensorRangeSymmetric": options.activation_symmetric,
            "ActivationSymmetric": options.activation_symmetric,
            "QuantizeBias": options.quantize_bias,
        },
        **ranges.arguments,
    )
    return {"calibration_images": ranges.images if kept else reader.used}


def _type(name: str) -> Any:
    from onnxruntime import quantization

    return {"uint8": quantization.QuantType.QUInt8, "int8": quantization.QuantType.QInt8}[name]


def _dynamic(plain: Path, path: Path, options: Any) -> None:
    from onnxruntime import quantization

    quantization.quantize_dynamic(
        str(plain),
        str(path),
        op_types_to_quantize=list(options.op_types_to_quantize),
        per_channel=options.per_channel,
        weight_type=_type(options.weights),
        nodes_to_exclude=list(options.nodes_to_exclude),
    )


def _weights_only(plain: Path, path: Path, options: Any) -> None:
    """Symmetric int8 weights, each behind a DequantizeLinear: w = scale * q, scale = max |w| / 127
    per output channel, or for the whole weight.
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(plain)
    stored = {each.name: each for each in model.graph.initializer}
    done: set[str] = set()
    for node in list(model.graph.node):
        asked = node.op_type in options.op_types_to_quantize and len(node.input) > 1
        if not asked or node.name in options.nodes_to_exclude or node.input[1] not in stored:
            continue
        name = node.input[1]
        if name not in done:
            weight = numpy_helper.to_array(stored[name])
            axis = _output_axis(node) if options.per_channel and weight.ndim > 1 else None
            if axis is not None:
                axis %= weight.ndim
            others = tuple(each for each in range(weight.ndim) if each != axis)
            largest = np.abs(weight).max(axis=None if axis is None else others, keepdims=True)
            scale = np.maximum(largest, 1e-12).astype(np.float32) / 127
            whole = np.clip(np.round(weight / scale), -127, 127).astype(np.int8)
            shape = () if axis is None else (weight.shape[axis],)
            zeros = np.zeros(shape, np.int8)
            model.graph.initializer.remove(stored[name])
            model.graph.initializer.extend(
                [
                    numpy_helper.from_array(whole, f"{name}_quantized"),
                    numpy_helper.from_array(scale.reshape(shape), f"{name}_scale"),
                    numpy_helper.from_array(zeros, f"{name}_zero_point"),
                ]
            )
            parts = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
            more: dict[str, Any] = {} if axis is None else {"axis": axis}
            made = helper.make_node(
                "DequantizeLinear", parts, [name], f"{name}_DequantizeLinear", **more
            )
            model.graph.node.insert(0, made)
            done.add(name)
    onnx.save(model, path)


def _output_axis(node: Any) -> int:
    """The axis of a weight along which its output channels lie."""
    if node.op_type == "MatMul":
        return -1
    if node.op_type == "Gemm":
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        return 0 if turned else 1
    return 1 if node.op_type == "ConvTranspose" else 0


_OLDEST = 13
"""Per-channel scales need DequantizeLinear's axis, which came with this operator set."""


def _prepare(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(source)
    if any(
        each.domain in {"", "ai.onnx"} and each.version < _OLDEST for each in model.opset_import
    ):
        source = target.with_name("converted.onnx")
        onnx.save(onnx.version_converter.convert_version(model, 17), source)
    try:
        quant_pre_process(str(source), str(target))
    except Exception:  # noqa: BLE001 - symbolic shape inference fails on some operators, in many ways
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)


def _reader(model: Path, context: BuildContext, samples: int) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    name = onnx.load(model, load_external_data=False).graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc] # the library ships no types
        def __init__(self) -> None:
            self._inputs = iter(context.inputs(_CALIBRATION, samples))
            self.used = 0

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._inputs, None)
            if batch is None:
                return None
            self.used += 1
            context.progress(self.used, samples, "calibrating")
            return {name: batch}

    return Reader()


def _count(graph: Any, options: Any) -> tuple[int, int]:
    """Quantized operators of the types asked for, and all of those types.

    Static: the first two inputs are dequantized; only the weight: the second is; dynamic: the
    operator is an integer one, or fed by one that quantizes as it runs.
    """
    types = options.op_types_to_quantize
    if options.method == "dynamic":
        whole = sum(node.op_type in _INTEGER_OPS for node in graph.node)
        return whole, whole + sum(node.op_type in types for node in graph.node)
    makers = {output: node.op_type for node in graph.node for output in node.output}
    listed = [node for node in graph.node if node.op_type in types]
    which = slice(0, 2)
    if options.method == "weight_only":
        which = slice(1, 2)
        listed = [node for node in listed if len(node.input) > 1]  # the rest has no weight
    quantized = [
        node
        for node in listed
        if node.input[which]
        and all(makers.get(name) == "DequantizeLinear" for name in node.input[which])
    ]
    return len(quantized), len(listed)


_INTEGER_OPS = {"ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "QLinearConv"}


def _asymmetric(graph: Any) -> dict[str, int]:
    """What TensorRT would not take: zero points of activations that are not 0, 8-bit biases."""
    from onnx import numpy_helper

    stored = {each.name: each for each in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    points = 0
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and len(node.input) > 2 and node.input[2] in stored:
            points += bool(numpy_helper.to_array(stored[node.input[2]]).any())
    biases = sum(
        len(node.input) > 2
        and node.op_type in {"Conv", "Gemm"}
        and node.input[2] in makers
        and makers[node.input[2]].op_type == "DequantizeLinear"
        for node in graph.node
    )
    return {"zero_points_not_zero": points, "quantized_biases": biases}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
