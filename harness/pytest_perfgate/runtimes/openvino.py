"""OpenVINO, with the inference precision stated and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, OPENVINO, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime


class OpenVino(Runtime):
    """The runtime `openvino`; reads ONNX files and its own."""

    name = "openvino"
    accepts = frozenset({ONNX, OPENVINO})
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
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": options.precision,
        }
        if options.device.startswith("CPU"):
            # Else activations of layers with compressed weights are quantized as they run.
            config["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "0"
        if options.device.startswith("CPU"):
            # The arm is pinned already; OpenVINO's own pinning would undo that.
            config |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
        self._opened = str(artifact.path), options.device, config
        try:
            model = openvino.Core().compile_model(*self._opened)
        except Exception as error:
            raise RuntimeFault(
                f"OpenVINO does not load the file: {error}", where=str(artifact.path)
            ) from error
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
        self._request = model.create_infer_request()
        self._outputs = len(model.outputs)
        self._taken = taken_by(model)
        self.fixed_batch = _fixed_batch(model)
        self.facts: dict[str, Any] = {
            "device": ",".join(str(device) for device in used),
            "precision": ", ".join(layers) or hint,
            "precision_hint": hint,
            "layers": dict(layers),
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
        import openvino

        path, device, config = self._opened
        counting = openvino.Core().compile_model(path, device, {**config, "PERF_COUNT": "YES"})
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

    def close(self) -> None:
        """Lets the compiled model go."""
        del self._request


def taken_by(model: Any) -> dict[str, str]:
    """Names of a model's inputs, in its order, each with its numpy dtype."""
    return {
        min(entry.names) if entry.names else str(place): entry.element_type.to_dtype().name
        for place, entry in enumerate(model.inputs)
    }


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


_COMPUTE = {"Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNCell", "RNNSeq"}


def _type_name(value: Any) -> str:
    text = str(value.get_type_name()) if hasattr(value, "get_type_name") else str(value)
    text = text.replace("<Type: '", "").replace("'>", "")
    return _NAMES.get(text, text)
