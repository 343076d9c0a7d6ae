"""quantize: an ONNX graph with 8-bit operators, by ONNX Runtime's static quantization."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness import registry
from harness.artifact import ONNX, Artifact, OptionsModel
from harness.errors import BuildError, suggestion
from harness.registry import Requirement
from harness.steps import Applied, BuildContext, expect

_CALIBRATION = "calibration"


class Quantize:
    """The step `quantize`."""

    name = "quantize"
    argument = "method"
    accepts = frozenset({ONNX})
    produces = ONNX
    requires: tuple[Requirement, ...] = (
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
    )
    splits = frozenset({_CALIBRATION})
    trains = False

    class Options(OptionsModel):
        """Options in onnxruntime.quantization's words."""

        method: Literal["static"] = Field(
            "static", description="ranges come from calibration images"
        )
        activations: Literal["uint8", "int8"] = Field("uint8", description="activation type")
        weights: Literal["uint8", "int8"] = Field("int8", description="weight type")
        per_channel: bool = Field(True, description="a scale per output channel")
        calibrate_method: Literal["minmax", "entropy", "percentile"] = Field(
            "minmax", description="how ranges are chosen"
        )
        samples: int = Field(64, ge=1, description="calibration images")
        op_types_to_quantize: tuple[str, ...] = Field(
            ("Conv", "Gemm", "MatMul", "Relu"), description="operators to quantize"
        )
        nodes_to_exclude: tuple[str, ...] = Field((), description="nodes that stay in float")

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Quantizes with calibration images of the suite."""
        import onnx
        from onnxruntime import quantization

        if artifact.path is None:
            raise BuildError("there is no ONNX file to quantize")
        source = artifact.path.resolve()
        path = context.folder.resolve() / "model.onnx"
        types = {
            "uint8": quantization.QuantType.QUInt8,
            "int8": quantization.QuantType.QInt8,
        }
        methods = {
            "minmax": quantization.CalibrationMethod.MinMax,
            "entropy": quantization.CalibrationMethod.Entropy,
            "percentile": quantization.CalibrationMethod.Percentile,
        }
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
            reader = _reader(plain, context, options.samples)
            quantization.quantize_static(
                str(plain),
                str(path),
                reader,
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=types[options.activations],
                weight_type=types[options.weights],
                per_channel=options.per_channel,
                calibrate_method=methods[options.calibrate_method],
                op_types_to_quantize=list(options.op_types_to_quantize),
                nodes_to_exclude=list(options.nodes_to_exclude),
                extra_options={"CalibTensorRangeSymmetric": False},
            )
        quantized, quantizable = _count(onnx.load(path).graph, options.op_types_to_quantize)
        effect = {
            "quantized_ops": quantized,
            "quantizable_ops": quantizable,
            "quantized_share": round(quantized / max(1, quantizable), 4),
            "calibration_images": reader.used,
            "bytes_before": source.stat().st_size,
            "bytes": path.stat().st_size,
        }
        return Applied(Artifact(ONNX, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Operators must have become 8-bit, on the images that were asked for."""
        expect(
            effect["quantized_ops"] > 0,
            self.name,
            f"of {effect['quantizable_ops']} operators of the types "
            f"{', '.join(options.op_types_to_quantize)} none was quantized",
        )
        expect(effect["calibration_images"] > 0, self.name, "no calibration image was used")

    def restore(self, module: Any, structure: Any, options: Any) -> Any:  # noqa: ARG002 - the Protocol's
        """Nothing: an ONNX file is whole."""
        return module


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


def _count(graph: Any, types: tuple[str, ...]) -> tuple[int, int]:
    """Operators of `types` all of whose first two inputs are dequantized, and all of `types`."""
    makers = {output: node.op_type for node in graph.node for output in node.output}
    listed = [node for node in graph.node if node.op_type in types]
    quantized = [
        node
        for node in listed
        if all(makers.get(name) == "DequantizeLinear" for name in node.input[:2])
    ]
    return len(quantized), len(listed)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
