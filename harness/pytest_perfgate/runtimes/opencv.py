"""OpenCV's dnn module on the CPU, from ONNX files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime

_EXPONENTIAL = {"Tanh", "Softplus", "LogSoftmax", "ReduceLogSumExp", "Exp", "Mish", "Gelu"}


class OpenCv(Runtime):
    """The runtime `opencv`; reads ONNX files."""

    name = "opencv"
    accepts = frozenset({ONNX})
    requires = (
        registry.from_extra("cv2", "opencv"),
        registry.from_extra("onnx", "onnx"),
    )
    preload = ("numpy", "cv2")

    class Options(OptionsModel):
        """Options of cv2.dnn."""

        engine: Literal["auto", "new", "classic"] = Field(
            "auto", description="the graph engine; auto takes the new one where it reads the file"
        )
        threads: int | None = Field(None, ge=1, description="threads; default: those of the suite")

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> OpenCvSession:
        """A session on the ONNX file."""
        return OpenCvSession(artifact, options, context)

    @override
    def alternatives(self, options: Any) -> Mapping[str, Any]:
        """The other engine."""
        return {
            f'engine = "{engine}"': options.model_copy(update={"engine": engine})
            for engine in ("classic", "new")
            if options.engine != engine
        }

    @override
    def advice(self, kind: str, codes: str) -> str:
        """Exponentials overflow in both engines; other operators can stay in float."""
        if kind in _EXPONENTIAL:
            whole = (
                "export with opset_version = 20, which writes a GELU as one operator in place of a "
                "Tanh, or "
            )
            return (
                f'{whole if kind == "Tanh" else ""}set runtime = "onnxruntime": large values '
                f"overflow in OpenCV's {kind}"
            )
        if codes:
            return "name the node in nodes_to_exclude of quantize"
        return ""


class OpenCvSession(InferenceSession):
    """A network of cv2.dnn."""

    def __init__(self, artifact: Artifact, options: Any, context: OpenContext) -> None:
        import cv2

        threads = options.threads or context.threads
        cv2.setNumThreads(threads)
        engines = {
            "auto": cv2.dnn.ENGINE_AUTO,
            "new": cv2.dnn.ENGINE_NEW,
            "classic": cv2.dnn.ENGINE_CLASSIC,
        }
        try:
            self._outputs, self.fixed_batch = _outputs(str(artifact.path))
            self._net: Any = cv2.dnn.readNetFromONNX(
                str(artifact.path), engine=engines[options.engine]
            )
        except Exception as error:
            raise RuntimeFault(
                f"OpenCV does not load the file: {error}", where=str(artifact.path)
            ) from error
        known = set(self._net.getUnconnectedOutLayersNames())
        if not set(self._outputs) <= known:
            raise RuntimeFault(
                f"OpenCV lists the outputs {', '.join(sorted(known))}",
                where=str(artifact.path),
                valid=", ".join(self._outputs),
            )
        layers = _layers(self._net)
        self.facts: dict[str, Any] = {
            "device": "cpu",
            "engine": "classic" if _CLASSIC_INPUT in self._net.getLayerTypes() else "new",
            "precision": ", ".join(layers),
            "layers": dict(layers),
            "threads": cv2.getNumThreads(),
            "version": cv2.__version__,
        }

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        self._net.setInput(inputs.only_images("OpenCV"))
        # The arrays are the network's own, which the next inference writes to.
        return tuple(output.copy() for output in self._net.forward(self._outputs))

    def close(self) -> None:
        """Lets the network go."""
        self._net = None


def _outputs(path: str) -> tuple[list[str], int]:
    """The names of the graph's outputs, in its order, which is not always OpenCV's; and its batch,
    0 for any, which exporters of Paddle write as -1.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    image = next(value for value in graph.input if value.name not in weights)
    sizes = image.type.tensor_type.shape.dim
    return [output.name for output in graph.output], max(0, sizes[0].dim_value) if sizes else 0


_CLASSIC_INPUT = "__NetInputLayer__"
"""A kind of layer that only networks of the classic engine have."""


def _layers(net: Any) -> Counter[str]:
    """Layers with weights by the type that these are in as the network runs, most frequent first:
    `{"int8": 3, "float32": 1}`. The classic engine computes in float what a file has in 8 bits.
    """
    counts: Counter[str] = Counter()
    for name in net.getLayerNames():
        blobs = net.getLayer(name).blobs
        if blobs:
            counts[str(blobs[0].dtype)] += 1
    return Counter(dict(counts.most_common()))
