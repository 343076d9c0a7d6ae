"""ONNX Runtime, with proof of the provider that it really uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness import registry
from harness.artifact import ONNX, Artifact, OptionsModel
from harness.errors import RuntimeFault
from harness.registry import Requirement
from harness.runtimes import OpenContext

if TYPE_CHECKING:
    import numpy as np

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxRuntime:
    """The runtime `onnxruntime`."""

    name = "onnxruntime"
    accepts = frozenset({ONNX})
    requires: tuple[Requirement, ...] = (registry.from_extra("onnxruntime", "onnx"),)
    preload: tuple[str, ...] = ("numpy", "onnxruntime")

    class Options(OptionsModel):
        """Options of ONNX Runtime."""

        provider: Literal["cpu", "cuda", "tensorrt"] = Field(
            "cpu", description="the execution provider; another one than asked for is an error"
        )
        graph_optimization: Literal["disable", "basic", "extended", "all"] = Field(
            "all", description="graph optimization level"
        )
        threads: int | None = Field(None, ge=1, description="intra-op threads; default: suite's")

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> OnnxSession:
        """A session on the ONNX file."""
        return OnnxSession(artifact, options, context)


class OnnxSession:
    """An inference session on one provider."""

    def __init__(self, artifact: Artifact, options: Any, context: OpenContext) -> None:
        import onnxruntime

        levels = onnxruntime.GraphOptimizationLevel
        asked = onnxruntime.SessionOptions()
        asked.intra_op_num_threads = options.threads or context.threads
        asked.inter_op_num_threads = 1
        asked.log_severity_level = 3
        asked.add_session_config_entry("session.intra_op.allow_spinning", "0")
        asked.graph_optimization_level = {
            "disable": levels.ORT_DISABLE_ALL,
            "basic": levels.ORT_ENABLE_BASIC,
            "extended": levels.ORT_ENABLE_EXTENDED,
            "all": levels.ORT_ENABLE_ALL,
        }[options.graph_optimization]
        provider = _PROVIDERS[options.provider]
        try:
            self._session = onnxruntime.InferenceSession(
                str(artifact.path), asked, providers=[provider]
            )
        except Exception as error:
            raise RuntimeFault(
                f"ONNX Runtime does not load the file: {error}", where=str(artifact.path)
            ) from error
        used = self._session.get_providers()
        if not used or used[0] != provider:
            raise RuntimeFault(
                f"the provider {provider} was asked for, and ONNX Runtime uses {', '.join(used)}",
                valid=", ".join(onnxruntime.get_available_providers()),
                next_step="install what the provider needs, or ask for another",
            )
        asked_of = self._session.get_inputs()[0]
        self._input = asked_of.name
        self._half = asked_of.type == "tensor(float16)"
        self.facts: dict[str, Any] = {
            "provider": used[0],
            "threads": asked.intra_op_num_threads,
            "graph_optimization": options.graph_optimization,
            "version": onnxruntime.__version__,
        }

    def run(self, batch: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        """See `harness.runtimes.InferenceSession`."""
        if not self._half:
            return tuple(self._session.run(None, {self._input: batch}))
        outputs = self._session.run(None, {self._input: batch.astype("float16")})
        return tuple(
            each.astype("float32") if each.dtype == "float16" else each for each in outputs
        )

    def close(self) -> None:
        """Lets the session go."""
        del self._session
