"""LiteRT on the CPU, from .tflite files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pytest_perfgate import registry
from pytest_perfgate.artifact import TFLITE, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime

if TYPE_CHECKING:
    import numpy as np


class LiteRt(Runtime):
    """The runtime `litert`; takes what the step `tflite` made."""

    name = "litert"
    accepts = frozenset({TFLITE})
    requires = (registry.from_extra("ai_edge_litert", "litert"),)
    preload = ("numpy", "ai_edge_litert.interpreter")

    class Options(OptionsModel):
        """Options of ai_edge_litert's Interpreter."""

        threads: int | None = Field(
            None, ge=1, description="num_threads; default: those of the suite"
        )

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> LiteRtSession:
        """A session on the .tflite file."""
        return LiteRtSession(artifact, options, context)


class LiteRtSession(InferenceSession):
    """An interpreter with the batch that the file was converted for; a larger one runs in parts."""

    def __init__(self, artifact: Artifact, options: Any, context: OpenContext) -> None:
        from importlib.metadata import version

        from ai_edge_litert.interpreter import Interpreter

        threads = options.threads or context.threads
        before = _tasks()
        try:
            self._interpreter: Any = Interpreter(model_path=str(artifact.path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise RuntimeFault(
                f"LiteRT does not load the file: {error}", where=str(artifact.path)
            ) from error
        inputs = self._interpreter.get_input_details()
        shape = [int(size) for size in inputs[0]["shape"]]
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3:
            raise RuntimeFault(
                f"the file's inputs have the shapes {[list(entry['shape']) for entry in inputs]}",
                where=str(artifact.path),
                valid="one input (N, 3, H, W)",
            )
        self._input = inputs[0]["index"]
        self._size = shape[0]
        self._outputs = _outputs(self._interpreter)
        operators = self._interpreter._get_ops_details()
        delegated = any(operator["op_name"] == "DELEGATE" for operator in operators)
        layers = _layers(operators)
        if delegated:  # XNNPACK's pool is there already, the caller's own thread is one of it
            threads = 1 + _tasks() - before
        self.facts: dict[str, Any] = {
            "device": "cpu",
            "precision": ", ".join(layers),
            "layers": dict(layers),
            "delegate": "XNNPACK" if delegated else "none",
            "threads": threads,
            "batch": f"{self._size} at a time",
            "version": version("ai-edge-litert"),
        }

    def run(self, batch: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        """See `InferenceSession.run`.

        Raises:
            RuntimeFault: the batch is no multiple of the file's own.
        """
        import numpy as np

        if len(batch) % self._size:
            raise RuntimeFault(
                f"a batch of {len(batch)} is not a multiple of {self._size}, the batch of the file",
                next_step="choose another `batch` in [suite]",
            )
        rows = []
        for start in range(0, len(batch), self._size):
            self._interpreter.set_tensor(self._input, batch[start : start + self._size])
            self._interpreter.invoke()
            rows.append([self._interpreter.get_tensor(index) for index in self._outputs])
        return tuple(np.concatenate(column) for column in zip(*rows, strict=True))

    def close(self) -> None:
        """Lets the interpreter go."""
        self._interpreter = None


_WEIGHTED = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"),
    *("CONV_3D", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
}


def _layers(operators: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Operators with weights by the types of their values and weights, most frequent first."""
    counts: Counter[str] = Counter()
    for operator in operators:
        if operator["op_name"] in _WEIGHTED:
            weights = operator["operand_types"][1].__name__
            values = operator["result_types"][0].__name__
            counts[values if values == weights else f"{values} with {weights} weights"] += 1
    return Counter(dict(counts.most_common()))


def _tasks() -> int:
    """Threads of this process."""
    return len(list(Path("/proc/self/task").iterdir()))


def _outputs(interpreter: Any) -> list[int]:
    """The outputs in the model's order: that of the signature's names, where there is one."""
    signatures = interpreter.get_signature_list()
    details = {output["name"]: output["index"] for output in interpreter.get_output_details()}
    if len(signatures) == 1:
        (name,) = signatures
        runner = interpreter.get_signature_runner(name)
        named = runner.get_output_details()
        return [named[key]["index"] for key in sorted(named, key=_number)]
    return list(details.values())


def _number(name: str) -> tuple[int, str]:
    digits = "".join(character for character in name if character.isdigit())
    return int(digits or 0), name
