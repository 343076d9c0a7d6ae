"""The layers of a TensorRT engine: which precision and which kernel each of them got.

Read from the engine inspector's JSON, or, where an engine is built without a device that could
open it, from what the builder writes of the finished engine to its log: the same information, a
line for each layer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_perfgate.errors import BuildError

_TYPES = {
    "float": "fp32",
    "fp32": "fp32",
    "half": "fp16",
    "fp16": "fp16",
    "bfloat16": "bf16",
    "bf16": "bf16",
    "int8": "int8",
    "fp8": "fp8",
    "int4": "int4",
    "fp4": "fp4",
}
"""TensorRT's words for the types that a layer may compute in, and ours; other types only count."""

_BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "fp8": 8, "int4": 4, "fp4": 4}

_TYPE = re.compile(rf"\b({'|'.join(_TYPES)})\b", re.IGNORECASE)

_INT8_KERNEL = re.compile(r"(^|_)i8i8_")
"""NVIDIA's kernels have the types of their operands in their names."""

_ELEMENTWISE = "kgen"
"""TensorRT's word for a generated kernel of elementwise operators: its constants are no weights."""

_LINE = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<type>\w*), Inputs: (?P<inputs>\[.*?\]), "
    r"Constants: (?P<constants>\[.*?\]), Outputs: (?P<outputs>\[.*?\]), "
    r"TacticName: (?P<tactic>.*?), StreamId: .*?Metadata: ?(?P<metadata>.*)$"
)
_TENSOR = re.compile(r"Dimensions: \[(?P<shape>[-\d,]*)\].*?Datatype: (?P<type>\w+)")
_HEADING = "Layers:\n"


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        kind: TensorRT's word for it ("CaskConvolution", "correlation", "kgen").
        precision: what it computes in: "fp32", "fp16", "bf16", "int8", "fp8", …; "" for what is no
            computation in such a type (waiting, shapes, copies of integers).
        weighted: whether it multiplies with weights.
        tactic: the kernel, "" when TensorRT names none.
        sparse: whether the kernel skips the zeros of 2:4 sparse weights.
    """

    name: str
    kind: str
    precision: str
    weighted: bool
    tactic: str
    sparse: bool


@dataclass(frozen=True)
class _Tensor:
    type: str
    shape: tuple[int, ...] = ()


def from_inspector(text: str) -> tuple[Layer, ...]:
    """The layers of `IEngineInspector.get_engine_information(JSON)`.

    Raises:
        BuildError: it is not that, or the engine was built without detailed information.
    """
    try:
        listed = list(json.loads(text)["Layers"])
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(f"the engine inspector's JSON cannot be read: {error!r}") from error
    if not all(isinstance(entry, Mapping) for entry in listed):
        raise BuildError("the engine reports nothing of its layers but their names")
    return tuple(
        _layer(
            name=str(entry.get("Name", "")),
            kind=str(entry.get("LayerType", "")),
            inputs=_json_tensors(entry.get("Inputs")),
            constants=_json_tensors(entry.get("Constants")),
            outputs=_json_tensors(entry.get("Outputs")),
            tactic=str(entry.get("TacticName", "")),
            weights=str(_inside(entry.get("Weights"), "Type")),
            sparse=bool(entry.get("HasSparseWeights", 0)),
        )
        for entry in listed
    )


def from_log(messages: Iterable[str]) -> tuple[Layer, ...]:
    """The layers of the last engine that a builder wrote to its log, verbosely; none when it did
    not.
    """
    layers: tuple[Layer, ...] = ()
    for message in messages:
        if not message.startswith(_HEADING):
            continue
        matches = [_LINE.match(line) for line in message.splitlines()]
        layers = tuple(
            _layer(
                name=match["name"],
                kind=match["type"],
                inputs=_line_tensors(match["inputs"]),
                constants=_line_tensors(match["constants"]),
                outputs=_line_tensors(match["outputs"]),
                tactic=match["tactic"],
            )
            for match in matches
            if match
        )
    return layers


def summary(layers: Sequence[Layer]) -> dict[str, Any]:
    """Counts by precision, of all layers that compute and of those with weights, the shares of
    8-bit and 16-bit ones among the latter, and the kernels that most layers run.
    """
    computing = [layer for layer in layers if layer.precision]
    weighted = [layer for layer in computing if layer.weighted]
    by = Counter(layer.precision for layer in weighted)
    total = max(1, len(weighted))
    kernels = Counter(layer.tactic for layer in computing if layer.tactic)
    return {
        "layers": len(computing),
        "layers_by_precision": dict(Counter(layer.precision for layer in computing).most_common()),
        "weighted_layers": len(weighted),
        "weighted_by_precision": dict(by.most_common()),
        "int8_share": round(by["int8"] / total, 4),
        "fp16_share": round(by["fp16"] / total, 4),
        "sparse_layers": sum(layer.sparse for layer in layers),
        "kernels": len(kernels),
    }


def as_json(layers: Sequence[Layer]) -> str:
    """All of it, for a file beside the engine."""
    return json.dumps([asdict(layer) for layer in layers], indent=1)


def _layer(
    *,
    name: str,
    kind: str,
    inputs: Sequence[_Tensor],
    constants: Sequence[_Tensor],
    outputs: Sequence[_Tensor],
    tactic: str,
    weights: str = "",
    sparse: bool = False,
) -> Layer:
    """What is read, judged.

    A layer computes in the widest type of what it multiplies: the first input and the weights.
    One without weights computes in the widest of what goes in and what comes out, so that a layer
    which only quantizes or dequantizes is not taken for one that computes in 8 bits.
    """
    matrices = [
        constant
        for constant in constants
        if kind != _ELEMENTWISE and sum(size > 1 for size in constant.shape) > 1
    ]
    own = (
        [_type(weights)]
        if _type(weights)
        else [matrix.type for matrix in matrices if matrix.type][:1]
    )
    first = [tensor.type for tensor in inputs[:1] if tensor.type]
    last = [output.type for output in outputs[:1] if output.type]
    kernel = bool(_INT8_KERNEL.search(tactic))
    if not first:
        precision = ""  # weights alone, or nothing: it computes nothing of an image
    elif own:
        precision = _widest(first + own)
    elif kernel and first == ["int8"]:
        precision = "int8"
    else:
        precision = _widest(first + last)
    return Layer(
        name=name,
        kind=kind,
        precision=precision,
        weighted=bool(first) and (bool(own) or kernel),
        tactic=tactic,
        sparse=sparse or "sparse" in tactic.lower(),
    )


def _widest(types: Sequence[str]) -> str:
    return max(types, key=_BITS.__getitem__)


def _type(text: str) -> str:
    match = _TYPE.search(text)
    return _TYPES[match[1].lower()] if match else ""


def _inside(value: Any, key: str) -> Any:
    return value.get(key, "") if isinstance(value, Mapping) else ""


def _json_tensors(value: Any) -> list[_Tensor]:
    """`Datatype` where the inspector has it by itself, else it is in the words on the format."""
    tensors = []
    for entry in value or ():
        text = _inside(entry, "Datatype") or _inside(entry, "Format/Datatype")
        shape = tuple(size for size in _inside(entry, "Dimensions") or () if isinstance(size, int))
        tensors.append(_Tensor(_type(str(text)), shape))
    return tensors


def _line_tensors(text: str) -> list[_Tensor]:
    return [
        _Tensor(
            _type(match["type"]), tuple(int(size) for size in match["shape"].split(",") if size)
        )
        for match in _TENSOR.finditer(text)
    ]
