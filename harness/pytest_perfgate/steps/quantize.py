"""quantize: an ONNX graph with 8-bit operators or weights, by ONNX Runtime's quantization."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.runtimes.onnxruntime_inputs import dtype_name
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.output_check import graph_inputs
from pytest_perfgate.steps.quantize_accuracy import SENSITIVITY_IMAGES, held
from pytest_perfgate.steps.quantize_clips import clips_off_zero
from pytest_perfgate.steps.quantize_codes import code_facts
from pytest_perfgate.steps.quantize_ranges import Ranges
from pytest_perfgate.steps.quantize_source import prepare
from pytest_perfgate.steps.quantize_weights import weights_only
from pytest_perfgate.steps.quiet import quiet

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
        "qat": "its operators are 8-bit already",
        "half": "8-bit operators take their scales and biases in float32",
    }

    class Options(OptionsModel):
        """Options in onnxruntime.quantization's words."""

        method: Literal["static", "dynamic", "weight_only"] = Field(
            "static",
            description="static: ranges from calibration images; dynamic: ranges from each "
            "input; weight_only: 8-bit weights, computation in float",
        )
        activations: Literal["uint8", "int8"] = Field(
            "uint8", description="static: activation type"
        )
        weights: Literal["uint8", "int8"] = Field("int8", description="weight type")
        per_channel: bool = Field(True, description="a scale per output channel")
        calibrate_method: Literal["minmax", "percentile"] = Field(
            "minmax", description="static: rule that chooses the ranges"
        )
        activation_symmetric: bool = Field(
            False, description="static: symmetric activations (zero point 0), as TensorRT requires"
        )
        quantize_bias: bool = Field(
            True, description="static: biases as 32-bit integers; TensorRT requires false"
        )
        reduce_range: bool = Field(
            False,
            description="static: 7-bit weights, for CPUs without VNNI, whose 8-bit products "
            "overflow",
        )
        samples: int = Field(64, ge=1, description="static: calibration images")
        op_types_to_quantize: tuple[str, ...] = Field(
            ("Conv", "Gemm", "MatMul", "Relu", "Clip"), description="operators to quantize"
        )
        nodes_to_exclude: tuple[str, ...] = Field((), description="nodes that stay in float")
        accuracy_drop: float | None = Field(
            None,
            ge=0,
            description="static: largest loss of the task's first metric on `accuracy_split`; "
            "layers stay in float, the most sensitive first, until it holds, else "
            "the build fails",
        )
        accuracy_split: Literal["calibration", "train"] = Field(
            "calibration", description="static: images that `accuracy_drop` is measured on"
        )
        max_excluded: int = Field(
            8, ge=1, description="static: most layers that may stay in float for `accuracy_drop`"
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
                    raise ValueError(f"{idle[0]} needs accuracy_drop")
            if self.method == "weight_only" and self.weights != "int8":
                raise ValueError("weight_only has weights = 'int8'")
            return self

    @override
    def splits_with(self, options: Any) -> frozenset[str]:
        """The images that ranges and `accuracy_drop` come from: only `static` has them."""
        if options.method != "static":
            return frozenset()
        return self.splits | self.scores_with(options)

    @override
    def scores_with(self, options: Any) -> frozenset[str]:
        """The images that `accuracy_drop` is measured on."""
        held = options.method == "static" and options.accuracy_drop is not None
        return frozenset({options.accuracy_split} if held else ())

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Quantizes; `static` with calibration images of the suite."""
        import onnx

        if artifact.path is None:
            raise BuildError("there is no ONNX file to quantize")
        source = artifact.path.resolve()
        path = context.folder.resolve() / "model.onnx"
        more: dict[str, Any] = {}
        with quiet(), tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
            # The library leaves files in the working directory; here they go with it.
            plain = Path(scratch) / "prepared.onnx"
            prepare(source, plain, options, context.example, context.threads)
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
                weights_only(plain, path, options)
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
            **(code_facts(graph) if options.method == "static" else {}),
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
            violations = effect["zero_points_not_zero"]
            expect(violations == 0, self.name, f"{violations} zero points of activations are not 0")
        if not options.quantize_bias:
            violations = effect["quantized_biases"]
            expect(violations == 0, self.name, f"{violations} biases were quantized")
        if options.reduce_range:
            bits = effect["weight_bits"]
            expect(bits <= 7, self.name, f"weights take {bits} bits")
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
    "reduce_range",
    "samples",
    "accuracy_drop",
    "accuracy_split",
    "max_excluded",
}


def _static(
    plain: Path, path: Path, options: Any, context: BuildContext, floats: Sequence[str] = ()
) -> dict[str, Any]:
    """Quantizes with calibration images; the nodes `floats` stay as they are, too, and clips that
    codes cannot stand in for.
    """
    import onnx
    from onnxruntime import quantization

    methods = {
        "minmax": quantization.CalibrationMethod.MinMax,
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
        reduce_range=options.reduce_range,
        calibrate_method=methods[options.calibrate_method],
        op_types_to_quantize=list(options.op_types_to_quantize),
        nodes_to_exclude=[
            *(*options.nodes_to_exclude, *floats),
            *clips_off_zero(onnx.load(plain, load_external_data=False).graph),
        ],
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


def _reader(model: Path, context: BuildContext, samples: int) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    entries = graph_inputs(onnx.load(model, load_external_data=False).graph)
    names = onnx.TensorProto.DataType.Name
    taken = {one.name: dtype_name(names(one.type.tensor_type.elem_type)) for one in entries}

    class Reader(CalibrationDataReader):  # type: ignore[misc] # the library ships no types
        def __init__(self) -> None:
            self._inputs = iter(context.inputs(_CALIBRATION, samples))
            self.used = 0

        def get_next(self) -> dict[str, Any] | None:
            inputs = next(self._inputs, None)
            if inputs is None:
                return None
            self.used += 1
            context.progress(self.used, samples, "calibrating")
            return inputs.feed(taken)

    return Reader()


def _count(graph: Any, options: Any) -> tuple[int, int]:
    """Quantized operators of the types asked for, and all of those types.

    Static: the first two inputs are dequantized, or the first of a Clip, whose others are bounds.
    Only the weight: the second is. Dynamic: the operator is an integer one, or fed by one that
    quantizes as it runs.
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
        # The rest has no weight; a Clip's other inputs are bounds.
        listed = [node for node in listed if len(node.input) > 1 and node.op_type != "Clip"]
    quantized = [
        node
        for node in listed
        if node.input[which]
        and all(
            makers.get(name) == "DequantizeLinear"
            for name in node.input[slice(0, 1) if node.op_type == "Clip" else which]
        )
    ]
    return len(quantized), len(listed)


_INTEGER_OPS = {"ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "QLinearConv"}
