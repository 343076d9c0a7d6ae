"""ncnn on the CPU: one image at a time, whatever the batch."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import NCNN, Artifact, OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime, own_names

if TYPE_CHECKING:
    import numpy as np

_OPTIONS = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")


_REFUSED = {
    "num_threads": own_names.THREADS,
    "use_vulkan_compute": "this runtime measures the CPU",
    **dict.fromkeys(_OPTIONS, "it is an option of this runtime"),
}


class Ncnn(Runtime):
    """The runtime `ncnn`."""

    name = "ncnn"
    accepts = frozenset({NCNN})
    requires = (registry.from_extra("ncnn", "ncnn"),)
    preload = ("numpy", "ncnn")

    class Options(OptionsModel):
        """Options of ncnn.Option. ncnn's own default is 16 bits wherever the CPU has it."""

        use_fp16_packed: bool = Field(False, description="16-bit floats between layers, packed")
        use_fp16_storage: bool = Field(False, description="16-bit floats between layers")
        use_fp16_arithmetic: bool = Field(False, description="16-bit floats inside layers")
        use_bf16_storage: bool = Field(False, description="bfloat16 between layers")
        threads: int | None = Field(None, ge=1, description="threads; default: those of the suite")
        option: dict[str, bool | int] = Field(
            default_factory=dict, description="further attributes of ncnn.Option, by its names"
        )

        @field_validator("option")
        @classmethod
        def _measurable(cls, value: dict[str, bool | int]) -> dict[str, bool | int]:
            own_names.refuse(value, _REFUSED)
            return value

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> NcnnSession:
        """A session on the files."""
        return NcnnSession(artifact, options, context)

    @override
    def computes_in_16_bits(self, options: Any) -> bool:
        """Whether one of the options for 16 bits is set."""
        return any(getattr(options, name) for name in _OPTIONS)


class NcnnSession(InferenceSession):
    """A network of ncnn, which knows no batch: it is called once for each image."""

    def __init__(self, artifact: Artifact, options: Any, context: OpenContext) -> None:
        import ncnn

        self._ncnn = ncnn
        self._net: Any = ncnn.Net()
        threads = options.threads or context.threads
        self._net.opt.num_threads = threads
        self._net.opt.use_vulkan_compute = False
        for name in _OPTIONS:
            setattr(self._net.opt, name, getattr(options, name))
        attributes = {
            name: value
            for name, value in own_names.attributes_of(self._net.opt).items()
            if value is not None  # allocators, which are no settings
        }
        own_names.refuse_unknown(options.option, attributes, _REFUSED, "ncnn.Option")
        for name, value in options.option.items():
            own_names.set_attribute(self._net.opt, name, value, attributes[name])
        path = artifact.path
        if path is None or not path.is_file() or not path.with_suffix(".bin").is_file():
            raise RuntimeFault("ncnn's two files are not there", where=str(path))
        if self._net.load_param(str(path)) or self._net.load_model(str(path.with_suffix(".bin"))):
            raise RuntimeFault("ncnn does not load the files", where=str(path))
        self._inputs = list(self._net.input_names())
        self._outputs = sorted(self._net.output_names(), key=_number)
        if len(self._inputs) != 1 or not self._outputs:
            raise RuntimeFault(
                f"the network has the inputs {self._inputs} and the outputs {self._outputs}",
                where=str(path),
                valid="one input, and outputs",
            )
        layers = _layers(self._net)
        self.facts: dict[str, Any] = {
            "device": "cpu",
            "precision": ", ".join(layers),
            "layers": dict(layers),
            "threads": int(self._net.opt.num_threads),
            "option": {
                name: getattr(self._net.opt, name) for name in sorted({*_OPTIONS, *options.option})
            },
            "batch": "one image at a time",
            "version": ncnn.__version__,
        }

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        import numpy as np

        rows = [self._one(image) for image in inputs.only_images("ncnn")]
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    def _one(self, image: np.ndarray[Any, Any]) -> list[Any]:
        import numpy as np

        outputs = []
        with self._net.create_extractor() as extractor:
            extractor.input(self._inputs[0], self._owned(image))
            for name in self._outputs:
                code, output = extractor.extract(name)
                if code:
                    raise RuntimeFault(f"ncnn does not compute the output {name!r} (code {code})")
                outputs.append(np.array(output))
        return outputs

    def _owned(self, image: np.ndarray[Any, Any]) -> Any:
        """A copy that counts its references: ncnn keeps its input beyond the array's life, and the
        process can end for memory that is freed.
        """
        import numpy as np

        return self._ncnn.Mat(np.ascontiguousarray(image)).clone()

    def close(self) -> None:
        """Lets the network go."""
        self._net = None


def _layers(net: Any) -> Counter[str]:
    """Layers by the type that they keep their values in, most frequent first. The options say what
    may be; a layer says what it has on this CPU: on x86 without AVX512-FP16 none has float16.
    """
    counts: Counter[str] = Counter()
    for layer in net.layers():
        if layer.type != "Input":
            half = net.opt.use_fp16_storage and layer.support_fp16_storage
            brain = net.opt.use_bf16_storage and layer.support_bf16_storage
            counts["float16" if half else "bfloat16" if brain else "float32"] += 1
    return Counter(dict(counts.most_common()))


def _number(name: str) -> tuple[int, str]:
    """The names that pnnx gives are out0, out1, … in the model's order: the number in one."""
    digits = re.search(r"(\d+)$", name)
    return int(digits.group(1)) if digits else 0, name
