"""OpenVINO, with the inference precision stated and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, OPENVINO, TFLITE, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.counts import Graph
from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime, own_names
from pytest_perfgate.runtimes.openvino_graph import graph_of
from pytest_perfgate.runtimes.own_names import Value

_MEASURING: dict[str, Value] = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
_MEASURING_CPU: dict[str, Value] = {
    # Else activations of layers with compressed weights are quantized as they run.
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
"""What is set unless a recipe says otherwise."""

_REFUSED = {
    "INFERENCE_NUM_THREADS": own_names.THREADS,
    "INFERENCE_PRECISION_HINT": "it is an option of this runtime: precision",
    "DEVICE_ID": "it is a part of the option device",
    "PERF_COUNT": own_names.PROFILING,
    "ENABLE_CPU_PINNING": "the arms of a launch are pinned to its cores already",
    "ENABLE_CPU_RESERVATION": "the arms of a launch share its cores",
    "CACHE_DIR": "a load from OpenVINO's cache is no cold one",
    "WEIGHTS_PATH": "the weights lie beside the graph",
}


class OpenVino(Runtime):
    """The runtime `openvino`; reads ONNX files, LiteRT's in floats, and its own."""

    name = "openvino"
    accepts = frozenset({ONNX, OPENVINO, TFLITE})
    requires = (registry.from_extra("openvino", "openvino"),)
    preload = ("numpy", "openvino")

    class Options(OptionsModel):
        """Options of OpenVINO."""

        precision: Literal["f32", "bf16", "f16"] = Field(
            "f32",
            description="INFERENCE_PRECISION_HINT; OpenVINO's own default is bf16 on some CPUs",
        )
        device: str = Field("CPU", description="the device; running on any other is an error")
        threads: int | None = Field(
            None, ge=1, description="inference threads; default: those of the suite"
        )
        properties: dict[str, bool | int | float | str] = Field(
            default_factory=dict,
            description="further properties of the device, by OpenVINO's names",
        )

        @field_validator("properties")
        @classmethod
        def _measurable(cls, value: dict[str, Value]) -> dict[str, Value]:
            own_names.refuse(value, _REFUSED)
            return value

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> OpenVinoSession:
        """A session on the file."""
        return OpenVinoSession(artifact, options, context)

    @override
    def computes_in_16_bits(self, options: Any) -> bool:
        """Whether the precision is one of 16 bits."""
        return str(options.precision) != "f32"

    @override
    def alternatives(self, options: Any) -> Mapping[str, Any]:
        """float32, where 16 bits were asked for."""
        if not self.computes_in_16_bits(options):
            return {}
        return {'precision = "f32"': options.model_copy(update={"precision": "f32"})}

    @override
    def advice(self, kind: str, codes: str) -> str:
        """16-bit codes are taken out with the clipping that they stand for; pooling over padded
        borders reads the code 0 there, which is 0 only with symmetric activations.
        """
        if codes in {"uint16", "int16"}:
            return (
                'quantize activations in 8 bits (activations = "uint8"): OpenVINO takes 16-bit '
                "Q/DQ pairs out, and with them a ReLU that the quantizer has left to them"
            )
        if kind == "AveragePool" and codes:
            return (
                'set activations = "int8" and activation_symmetric = true in quantize, whose zero '
                "point is 0, or name the node in nodes_to_exclude: OpenVINO pads with the code 0"
            )
        if codes:
            return 'set weights = "int8" in quantize, or name the node in nodes_to_exclude'
        return ""


class OpenVinoSession(InferenceSession):
    """A compiled model with one stream."""

    def __init__(self, artifact: Artifact, options: Any, context: OpenContext) -> None:
        import openvino

        threads = options.threads or context.threads
        config: dict[str, Any] = {
            **_MEASURING,
            "INFERENCE_PRECISION_HINT": options.precision,
        }
        if options.device.startswith("CPU"):
            # The arm is pinned already; OpenVINO's own pinning would undo that.
            config |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
            config |= _MEASURING_CPU
        shown = sorted({*config, *options.properties} - {"INFERENCE_PRECISION_HINT"})
        config |= {name: _written(value) for name, value in options.properties.items()}
        _refuse_unknown(options.device, options.properties, str(artifact.path))
        self._opened = str(artifact.path), options.device, config
        try:
            model = _compiled(*self._opened)
        except Exception as error:
            raise RuntimeFault(
                f"OpenVINO does not load the file: {str(error).strip()}", where=str(artifact.path)
            ) from error
        if artifact.kind == TFLITE:
            _refuse_codes(model, str(artifact.path))
        used = list(model.get_property("EXECUTION_DEVICES"))
        if not any(str(device).startswith(options.device) for device in used):
            raise RuntimeFault(
                f"the device {options.device} was requested, but OpenVINO uses {used}",
                next_step="see `openvino.Core().available_devices`",
            )
        hint = _type_name(model.get_property("INFERENCE_PRECISION_HINT"))
        if hint != options.precision:
            raise RuntimeFault(
                f"the precision {options.precision} was requested, but OpenVINO uses {hint}",
                next_step=f'precision = "{hint}" is the precision of this device',
            )
        layers = executed(model)
        self._compiled = model
        self._request = model.create_infer_request()
        self._outputs = len(model.outputs)
        self._taken = taken_by(model)
        self.fixed_batch = _fixed_batch(model)
        self.facts: dict[str, Any] = {
            "device": ",".join(str(device) for device in used),
            "precision": ", ".join(layers) or hint,
            "precision_hint": hint,
            "layers": dict(layers),
            "properties": read_back(model, shown, options.properties),
            "threads": int(model.get_property("INFERENCE_NUM_THREADS") or threads),
            "version": openvino.__version__,
        }

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        self._request.infer(self._fed(inputs), share_inputs=True)
        return tuple(
            self._request.get_output_tensor(index).data.copy() for index in range(self._outputs)
        )

    def _fed(self, inputs: Inputs) -> list[Any]:
        """The arrays in the model's order. OpenVINO converts what it is given, 0.5 to the byte 0
        too, and takes an input that is missing for an empty one: the check is `Inputs.feed`.
        """
        fed = inputs.feed(self._taken)
        return [fed[name] for name in self._taken]

    profiler = "OpenVINO's PERF_COUNT"

    def profile(self, inputs: Inputs, count: int) -> list[Operator]:
        """See `InferenceSession.profile`: the model compiled once more, with its counters on."""
        path, device, config = self._opened
        counting = _compiled(path, device, {**config, "PERF_COUNT": "YES"})
        request, fed = counting.create_infer_request(), self._fed(inputs)
        for _ in range(_WARM):
            request.infer(fed, share_inputs=True)
        rows: dict[tuple[str, str], list[float]] = {}
        for _ in range(count):
            request.infer(fed, share_inputs=True)
            for node in request.profiling_info:
                if str(node.status).endswith(".EXECUTED"):
                    key = str(node.node_name), str(node.node_type)
                    rows.setdefault(key, []).append(node.real_time.total_seconds())
        return [
            Operator(name=name, kind=kind, calls=len(took) / count, seconds=sum(took) / count)
            for (name, kind), took in rows.items()
        ]

    def graph(self, inputs: Inputs) -> Graph:
        """See `InferenceSession.graph`: the file is read once more."""
        import openvino

        shapes = [array.shape for array in self._fed(inputs)]
        return graph_of(self._compiled, openvino.Core().read_model(self._opened[0]), shapes)

    def close(self) -> None:
        """Lets the compiled model go."""
        del self._request, self._compiled


def taken_by(model: Any) -> dict[str, str]:
    """Names of a model's inputs, in its order, each with its numpy dtype."""
    return {
        min(entry.names) if entry.names else str(place): "bfloat16"
        if _is_bfloat16(entry)
        else entry.element_type.to_dtype().name
        for place, entry in enumerate(model.inputs)
    }


def _compiled(path: str, device: str, config: Mapping[str, Any]) -> Any:
    """The model of a file, whose inputs and outputs of bfloat16 are of float32 outside: OpenVINO
    would take and give the bits of bfloat16 as if they were float16.
    """
    import openvino

    core = openvino.Core()
    model = core.compile_model(path, device, dict(config))
    if not any(map(_is_bfloat16, (*model.inputs, *model.outputs))):
        return model
    outside = openvino.preprocess.PrePostProcessor(core.read_model(path))
    for ports, port in ((model.inputs, outside.input), (model.outputs, outside.output)):
        for place, entry in enumerate(ports):
            if _is_bfloat16(entry):
                port(place).tensor().set_element_type(openvino.Type.f32)
    return core.compile_model(outside.build(), device, dict(config))


def _is_bfloat16(port: Any) -> bool:
    return str(port.element_type.get_type_name()) == "bf16"


def _refuse_codes(model: Any, where: str) -> None:
    """Nothing, when a .tflite file takes and gives floats: OpenVINO hands codes on without their
    scale.
    """
    coded = {
        f"{name} {entry.element_type.get_type_name()}"
        for name, entries in (("input", model.inputs), ("output", model.outputs))
        for entry in entries
        if entry.element_type.get_type_name() in {"i8", "u8", "i16"}
    }
    if coded:
        raise RuntimeFault(
            f"OpenVINO does not make numbers of the file's codes: {', '.join(sorted(coded))}",
            where=where,
            valid="a .tflite file that takes and gives floats",
            next_step='set runtime = "litert"',
        )


def _fixed_batch(model: Any) -> int:
    """The batch that its images have, 0 for any; the images are the first input of four axes."""
    shapes = [entry.partial_shape for entry in model.inputs]
    images = next(
        (shape for shape in shapes if shape.rank.is_static and len(shape) == 4), shapes[0]
    )
    if images.rank.is_dynamic or not len(images) or images[0].is_dynamic:
        return 0
    return int(images[0].get_length())


_WARM = 2  # inferences before those that are counted
_NAMES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


def executed(model: Any) -> Counter[str]:
    """Layers with weights or products of a compiled model by the precision that they run in, most
    frequent first: `{"u8": 3, "f32": 1}`. The hint says nothing of 8 bits, and a file with
    quantized operators may run in float.
    """
    counts: Counter[str] = Counter()
    for node in model.get_runtime_model().get_ops():
        info = node.get_rt_info()
        if "layerType" in info and str(info["layerType"].astype(str)) in _COMPUTE:
            counts[str(info["runtimePrecision"].astype(str))] += 1
    return Counter(dict(counts.most_common()))


def read_back(model: Any, names: Sequence[str], wanted: Mapping[str, Value]) -> dict[str, str]:
    """Properties as the compiled model has them.

    Raises:
        RuntimeFault: one that was wanted is another: a number, or YES and NO.
    """
    known = model.get_property("SUPPORTED_PROPERTIES")
    said = {name: _shown(model.get_property(name)) for name in names if name in known}
    for name, value in wanted.items():
        text = _written(value)
        plain = text.isdigit() or text in {"YES", "NO"}
        if plain and name in said and said[name] != text:
            raise RuntimeFault(
                f"{name} = {text} was requested, but OpenVINO uses {said[name]}",
                where="properties",
                next_step=f"leave {name} out",
            )
    return said


def _refuse_unknown(device: str, properties: Mapping[str, Value], where: str) -> None:
    """Nothing, when the device lists each property as one that can be set; a device that stands for
    several (AUTO, HETERO) is left to OpenVINO.
    """
    import openvino

    if not properties or device.partition(":")[0] in {"AUTO", "HETERO", "MULTI", "BATCH"}:
        return
    try:
        listed = openvino.Core().get_property(device, "SUPPORTED_PROPERTIES")
    except RuntimeError as error:
        raise RuntimeFault(f"OpenVINO does not know the device: {error}", where=where) from error
    known = [name for name, access in listed.items() if access == "RW"]
    own_names.refuse_unknown(properties, known, _REFUSED, f"OpenVINO's device {device}")


def _written(value: Value) -> str:
    """As OpenVINO reads it."""
    return ("YES" if value else "NO") if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    """As it is written in a recipe: OpenVINO answers with booleans, types and enumerations."""
    if hasattr(value, "get_type_name"):
        return _type_name(value)
    return _written(getattr(value, "name", value))


_COMPUTE = {"Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNCell", "RNNSeq"}


def _type_name(value: Any) -> str:
    text = str(value.get_type_name()) if hasattr(value, "get_type_name") else str(value)
    text = text.replace("<Type: '", "").replace("'>", "")
    return _NAMES.get(text, text)
