"""nncf: an ONNX graph or a .tflite file as an OpenVINO IR with 8-bit operators or weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, OPENVINO, TFLITE, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.runtimes.openvino import taken_by
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.quiet import quiet

_CALIBRATION = "calibration"
_BELONGS = {
    "preset": "quantize",
    "subset_size": "quantize",
    "fast_bias_correction": "quantize",
    "mode": "compress_weights",
}


class Nncf(Step):
    """The step `nncf`."""

    name = "nncf"
    argument = "method"
    accepts = frozenset({ONNX, OPENVINO, TFLITE})
    produces = OPENVINO
    requires = (
        registry.from_extra("nncf", "nncf"),
        registry.from_extra("openvino", "nncf"),
    )
    splits = frozenset({_CALIBRATION})
    not_after: Mapping[str, str] = {
        "quantize": "its operators are 8-bit already",
        "qat": "its operators are 8-bit already",
        "nncf": "its operators are 8-bit already",
        "half": "8-bit operators take their scales and biases in float32",
    }

    class Options(OptionsModel):
        """Options in NNCF's words."""

        method: Literal["quantize", "compress_weights"] = Field(
            "quantize", description="weights and activations in 8 bits, or weights only"
        )
        preset: Literal["performance", "mixed"] = Field(
            "performance", description="quantize: symmetric activations, or (mixed) asymmetric ones"
        )
        subset_size: int = Field(300, ge=1, description="quantize: calibration images")
        fast_bias_correction: bool = Field(
            True, description="quantize: fast bias correction; false: layer by layer"
        )
        mode: Literal["int8_sym", "int8_asym"] = Field(
            "int8_asym",
            description="compress_weights: symmetric weights (zero point 0) or asymmetric ones",
        )
        ignored_names: tuple[str, ...] = Field((), description="operators that stay in float")
        ignored_types: tuple[str, ...] = Field(
            (), description="types of operators that stay in float, by OpenVINO's names"
        )

        @model_validator(mode="after")
        def _fits(self) -> Nncf.Options:
            """An option of another method is an error, not ignored."""
            for name in sorted(self.changed):
                if _BELONGS.get(name, self.method) != self.method:
                    raise ValueError(
                        f"{name} is an option of {_BELONGS[name]!r}, not of {self.method!r}"
                    )
            return self

    @override
    def splits_with(self, options: Any) -> frozenset[str]:
        """The images that ranges come from, for a method that has ranges."""
        return self.splits if options.method == "quantize" else frozenset()

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Quantizes or compresses, writes the IR, and reads from it what is 8-bit."""
        import openvino

        if artifact.path is None:
            raise BuildError("there is no file to quantize")
        path = context.folder / "model.xml"
        core = openvino.Core()
        model = core.read_model(str(artifact.path))
        if any(op.get_type_name() == "FakeQuantize" for op in model.get_ops()):
            raise BuildError(
                "the file is quantized already: it has FakeQuantize operators",
                next_step="name the file in floats, or leave the step out",
            )
        known = _all(model, "get_friendly_name")
        _require("ignored_names", options.ignored_names, known)
        _require("ignored_types", options.ignored_types, _all(model, "get_type_name"))
        most = options.subset_size if options.method == "quantize" else 0
        images = _Images(model, context, most)
        with quiet():
            result = _METHODS[options.method](model, options, images)
            _rename(result)
            openvino.save_model(result, str(path), compress_to_fp16=False)
        reopened = core.read_model(str(path))
        listed = [op for op in reopened.get_ops() if op.get_type_name() in _WEIGHTED]
        is_quantized = _weights_are if options.method == "compress_weights" else _both_are
        quantized = sum(map(is_quantized, listed))
        effect = {
            "quantized_ops": quantized,
            "quantizable_ops": len(listed),
            "quantized_share": round(quantized / max(1, len(listed)), 4),
            "bytes_before": _bytes(artifact),
            "bytes": path.stat().st_size + path.with_suffix(".bin").stat().st_size,
        }
        if options.method == "quantize":
            effect["calibration_images"] = images.used
        return Applied(Artifact(OPENVINO, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Operators must have become 8-bit, on the images that were asked for."""
        expect(
            effect["quantized_ops"] > 0,
            self.name,
            f"of {effect['quantizable_ops']} operators with weights none is in 8 bits",
        )
        if options.method == "quantize":
            expect(effect["calibration_images"] > 0, self.name, "no calibration image was used")


def _bytes(artifact: Artifact) -> int:
    """Of the graph, and of the weights beside an IR."""
    path = artifact.path or Path()
    files = (path, path.with_suffix(".bin")) if artifact.kind == OPENVINO else (path,)
    return sum(file.stat().st_size for file in files)


class _Images:
    """The calibration images, as often as they are asked for; `used` is how many came."""

    def __init__(self, model: Any, context: BuildContext, most: int) -> None:
        self._taken = taken_by(model)
        self._context = context
        self._most = most
        self.used = 0

    def __iter__(self) -> Iterator[Any]:
        for count, inputs in enumerate(self._context.inputs(_CALIBRATION, self._most), 1):
            self.used = max(self.used, count)
            self._context.progress(count, self._most, "calibrating")
            yield inputs.feed(self._taken)


def _quantize(model: Any, options: Any, images: _Images) -> Any:
    import nncf

    return nncf.quantize(
        model,
        nncf.Dataset(images),
        preset=nncf.QuantizationPreset(options.preset),
        subset_size=options.subset_size,
        fast_bias_correction=options.fast_bias_correction,
        ignored_scope=_ignored(options),
    )


def _compress_weights(model: Any, options: Any, _images: _Images) -> Any:
    import nncf

    return nncf.compress_weights(
        model, mode=nncf.CompressWeightsMode(options.mode), ignored_scope=_ignored(options)
    )


_METHODS: Mapping[str, Callable[[Any, Any, _Images], Any]] = {
    "quantize": _quantize,
    "compress_weights": _compress_weights,
}


def _ignored(options: Any) -> Any:
    import nncf

    return nncf.IgnoredScope(names=list(options.ignored_names), types=list(options.ignored_types))


def _all(model: Any, what: str) -> set[str]:
    return {getattr(op, what)() for op in model.get_ops()}


def _rename(model: Any) -> None:
    """Numbers operators without a name of their own by their place: OpenVINO counts them over the
    whole process, so that the same model would give another file.
    """
    for place, op in enumerate(model.get_ordered_ops()):
        kind, _, number = op.get_friendly_name().rpartition("_")
        if kind == op.get_type_name() and number.isdecimal():
            op.set_friendly_name(f"{kind}_{place}")


def _require(option: str, missing: Iterable[str], known: set[str]) -> None:
    for name in missing:
        if name not in known:
            raise BuildError(f"{option}: the model has no {name!r}", valid=suggestion(name, known))


# -- what of an IR is 8-bit ----------------------------------------------------------------

_WEIGHTED = {
    "Convolution",
    "GroupConvolution",
    "ConvolutionBackpropData",
    "GroupConvolutionBackpropData",
    "MatMul",
}
_MOVING = {  # operators that move values and do not change them: 8-bit values stay 8-bit
    *("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Split", "VariadicSplit"),
    *("Slice", "StridedSlice", "MaxPool", "Gather", "Interpolate", "ShuffleChannels"),
}


def _both_are(operator: Any) -> bool:
    return _activations_are(_before(operator, 0)) and _weights_are(operator)


def _activations_are(node: Any) -> bool:
    """Whether what `node` gives was quantized, at once or before it was only moved."""
    if node.get_type_name() == "FakeQuantize":
        return True
    if node.get_type_name() not in _MOVING:
        return False
    inputs = range(len(node.inputs()) if node.get_type_name() == "Concat" else 1)
    return all(_activations_are(_before(node, index)) for index in inputs)


def _weights_are(operator: Any) -> bool:
    """Whether the second input comes from 8-bit constants, or is quantized on its way."""
    node = _before(operator, 1)
    while node.inputs():
        if node.get_type_name() == "FakeQuantize":
            return True
        node = _before(node, 0)
    return node.get_type_name() == "Constant" and node.get_output_element_type(
        0
    ).get_type_name() in {
        "i8",
        "u8",
    }


def _before(node: Any, index: int) -> Any:
    return node.input(index).get_source_output().get_node()
