"""LiteRT on the CPU, from .tflite files.

A file may take images channels last, as TensorFlow writes them, and in 8 bits with a scale of its
own. An image is then transposed and quantized as a part of the inference, and outputs are
dequantized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from pytest_perfgate import registry
from pytest_perfgate.artifact import TFLITE, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs, as_dtype
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime, own_names

if TYPE_CHECKING:
    import numpy as np


_REFUSED = {
    "num_threads": own_names.THREADS,
    "experimental_force_delegate_node_profiling": own_names.PROFILING,
    "experimental_delegates": "a delegate is a library that a recipe cannot name",
    **dict.fromkeys(("model_path", "model_content"), "it is the model of the suite"),
}


class LiteRt(Runtime):
    """The runtime `litert`."""

    name = "litert"
    accepts = frozenset({TFLITE})
    requires = (registry.from_extra("ai_edge_litert", "litert"),)
    preload = ("numpy", "ai_edge_litert.interpreter")

    class Options(OptionsModel):
        """Options of ai_edge_litert's Interpreter."""

        threads: int | None = Field(
            None, ge=1, description="num_threads; default: those of the suite"
        )
        interpreter: dict[str, bool | int | str] = Field(
            default_factory=dict,
            description="further arguments of ai_edge_litert's Interpreter, by its names",
        )

        @field_validator("interpreter")
        @classmethod
        def _measurable(cls, value: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
            own_names.refuse(value, _REFUSED)
            return value

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> LiteRtSession:
        """A session on the .tflite file."""
        return LiteRtSession(artifact, options, context)


class LiteRtSession(InferenceSession):
    """An interpreter with the batch that the file was converted for; a larger one runs in parts.

    Attributes:
        batch: the one of the file.
    """

    def __init__(self, artifact: Artifact, options: Any, context: OpenContext) -> None:
        from importlib.metadata import version

        from ai_edge_litert.interpreter import Interpreter

        threads = options.threads or context.threads
        arguments = _arguments(options.interpreter)
        before = _tasks()
        try:
            self._interpreter: Any = Interpreter(
                model_path=str(artifact.path), num_threads=threads, **arguments
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise RuntimeFault(
                f"LiteRT does not load the file: {error}", where=str(artifact.path)
            ) from error
        self._input = Input.of(self._interpreter.get_input_details(), str(artifact.path))
        self.batch = self._input.shape[0]
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
            "input": str(self._input),
            **({"interpreter": dict(options.interpreter)} if options.interpreter else {}),
            "batch": f"{self.batch} at a time",
            "version": version("ai-edge-litert"),
        }

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`.

        Raises:
            RuntimeFault: the batch is no multiple of the file's own.
        """
        import numpy as np

        batch = self._input.fed(inputs)
        if len(batch) % self.batch:
            raise RuntimeFault(
                f"a batch of {len(batch)} is not a multiple of {self.batch}, the batch of the file",
                next_step="choose another `batch` in [suite]",
            )
        rows, read = [], self._interpreter.get_tensor
        for start in range(0, len(batch), self.batch):
            self._interpreter.set_tensor(self._input.index, batch[start : start + self.batch])
            self._interpreter.invoke()
            rows.append([output.real(read(output.index)) for output in self._outputs])
        return tuple(np.concatenate(column) for column in zip(*rows, strict=True))

    def close(self) -> None:
        """Lets the interpreter go."""
        self._interpreter = None


@dataclass(frozen=True)
class Codes:
    """How numbers are written: real value = scale * (code - zero_point).

    Attributes:
        index: of the tensor in the file.
        dtype: numpy's name of the type of the codes.
        scale: 0.0: the numbers stand for themselves.
    """

    index: int
    dtype: str
    scale: float
    zero_point: int

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Codes:
        """Those of a tensor, as the interpreter describes it."""
        import numpy as np

        scale, zero_point = details["quantization"]
        name = np.dtype(details["dtype"]).name
        return cls(int(details["index"]), name, float(scale), int(zero_point))

    def real(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The numbers that codes stand for, as float32 where they are quantized."""
        import numpy as np

        if not self.scale:
            return codes
        return (codes.astype(np.float32) - self.zero_point) * np.float32(self.scale)

    def codes(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The nearest codes of floats; what lies beyond the range becomes its end."""
        import numpy as np

        limits = np.iinfo(self.dtype)
        codes = np.rint(numbers / np.float32(self.scale)) + self.zero_point
        clipped: np.ndarray[Any, Any] = np.clip(codes, limits.min, limits.max)
        return clipped.astype(self.dtype)

    def __str__(self) -> str:
        if not self.scale:
            return self.dtype
        return f"{self.dtype}, scale {self.scale:.6g}, zero point {self.zero_point}"


_CHANNELS = frozenset({1, 3, 4})
"""Of a picture: grey, colours, colours and opacity."""


@dataclass(frozen=True)
class Input:
    """The one input of a file, for images.

    Attributes:
        shape: (N, C, H, W), or (N, H, W, C) if `channels_last`.
    """

    written: Codes
    shape: tuple[int, ...]
    channels_last: bool

    @classmethod
    def of(cls, inputs: Sequence[Mapping[str, Any]], where: str) -> Input:
        """What the interpreter says of a file's inputs.

        Raises:
            RuntimeFault: there are several, or the one takes no images.
        """
        shape = tuple(int(size) for size in inputs[0]["shape"]) if inputs else ()
        if len(inputs) != 1 or len(shape) != 4 or _CHANNELS.isdisjoint((shape[1], shape[3])):
            raise RuntimeFault(
                f"the file's inputs have the shapes {[list(entry['shape']) for entry in inputs]}",
                where=where,
                valid="one input (N, C, H, W) or (N, H, W, C)",
            )
        channels_last = shape[1] not in _CHANNELS or (shape[1], shape[3]) == (1, 3)
        return cls(Codes.of(inputs[0]), shape, channels_last)

    @property
    def index(self) -> int:
        """Of the tensor in the file."""
        return self.written.index

    def fed(self, inputs: Inputs) -> np.ndarray[Any, Any]:
        """Images as the file takes them: in its layout and, unless they are in its type already, in
        its codes.

        Raises:
            InputError: there are other inputs, or images are neither floats nor of the file's type.
        """
        images = inputs.only_images("LiteRT", inputs.images.dtype.name)
        if self.channels_last != (inputs.layout == "NHWC"):
            images = images.transpose((0, 2, 3, 1) if self.channels_last else (0, 3, 1, 2))
        if self.written.scale and images.dtype.kind == "f":
            return self.written.codes(images)
        fed: np.ndarray[Any, Any] = as_dtype(images, self.written.dtype, "the file takes")
        return fed

    def __str__(self) -> str:
        return f"{self.written}, {'NHWC' if self.channels_last else 'NCHW'}"


def _arguments(written: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the interpreter's constructor, with the values that they have in Python.

    Raises:
        RuntimeFault: it has no such argument, or not that value.
    """
    from inspect import signature

    from ai_edge_litert.interpreter import Interpreter

    known = {
        name: parameter.default
        for name, parameter in signature(Interpreter).parameters.items()
        if parameter.default is not parameter.empty
    }
    own_names.refuse_unknown(written, known, _REFUSED, "ai_edge_litert's Interpreter")
    arguments = SimpleNamespace()
    for name, value in written.items():
        own_names.set_attribute(arguments, name, value, known[name])
    return vars(arguments)


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


def _outputs(interpreter: Any) -> list[Codes]:
    """The outputs in the model's order: that of the signature's names, where there is one."""
    signatures = interpreter.get_signature_list()
    details = {output["index"]: output for output in interpreter.get_output_details()}
    if len(signatures) == 1:
        (name,) = signatures
        runner = interpreter.get_signature_runner(name)
        named = runner.get_output_details()
        return [Codes.of(details[named[key]["index"]]) for key in sorted(named, key=_number)]
    return [Codes.of(output) for output in details.values()]


def _number(name: str) -> tuple[int, str]:
    digits = "".join(character for character in name if character.isdigit())
    return int(digits or 0), name
