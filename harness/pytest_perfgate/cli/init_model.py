"""What a model's file says of itself, for `pytest-perfgate init`. Nothing of the file is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources.naming import files_named
from pytest_perfgate.sources.onnx_header import Header, Node, read_header
from pytest_perfgate.sources.onnx_metadata import class_names, literal
from pytest_perfgate.sources.openvino_ir import OpenVinoIr, read_ir
from pytest_perfgate.sources.tflite_header import read_tensors
from pytest_perfgate.tasks.pixels.fitted_inputs import fitted, guessed, images_of
from pytest_perfgate.tasks.pixels.input_options import Input

Shape = tuple[int | str, ...]

_NORMALISING = {"Sub", "Div", "Mul", "BatchNormalization"}


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model.

    Attributes:
        format: of the file, with its version.
        runtime: what runs the file.
        int8: the step that quantizes it, "" for none.
        image: its input of images.
        others: its further inputs.
        states: of a recurrent network, the input that takes each output to the next frame.
        outputs: those that are no state, in their order.
        size: (height, width) of the input; None: any.
        batch: images in a batch; None: any.
        task: the task in the exporter's words, "" where the file does not say.
        names: of the network's classes, in its order; empty where the file does not say.
        keypoints: how many an object has, and how many numbers each; None: the file does not say.
        normalises: whether the first operator on the input scales pixels.
        last: the operator that gives the first output.
    """

    file: Path
    format: str
    runtime: str
    int8: str
    image: Tensor
    others: tuple[Tensor, ...]
    states: Mapping[str, str]
    outputs: tuple[Tensor, ...]
    size: tuple[int, int] | None
    batch: int | None
    task: str
    names: tuple[str, ...]
    keypoints: tuple[int, int] | None
    normalises: bool
    last: str

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of the outputs; one of any rank has none."""
        return tuple(output.shape or () for output in self.outputs)


def read_model(file: Path) -> ModelFacts:
    """What the file says.

    Raises:
        RecipeError: it is no file that is read here, or takes no batch of images.
    """
    reader = _READERS.get(file.suffix)
    if reader is None:
        raise RecipeError(
            f"{file.name!r} is no file whose outputs can be read here",
            where=str(file),
            valid=f"a file ({' '.join(_READERS)})",
            next_step="export the model: torch.onnx.export, or yolo export format=onnx; or write "
            f'recipes.toml by hand, with model = "{file.name}" and a runtime that takes it',
        )
    try:
        header = reader(file)
        image = images_of(header.inputs)
        states = _states([one for one in header.inputs if one is not image], header.outputs)
        fed = [one for one in header.inputs if one.name not in states.values()]
        others = tuple(tensor for tensor in fed if tensor is not image)
        declared = {tensor.name: guessed(tensor)[0] for tensor in others}
        keys = fitted(Input.model_validate({"others": declared}), fed)
    except RecipeError as error:
        raise error.at(str(file)) from None
    shape = image.shape or ("?",) * 4
    sides = shape[2:4] if keys.get("layout") != "NHWC" else shape[1:3]
    return ModelFacts(
        file=file,
        format=header.format,
        runtime=header.runtime,
        int8=header.int8,
        image=image,
        others=others,
        states=states,
        outputs=tuple(one for one in header.outputs if one.name not in states),
        size=_size(sides, header.metadata),
        batch=shape[0] if isinstance(shape[0], int) else None,
        task=header.metadata.get("task", "")[:40],
        names=header.names,
        keypoints=_keypoints(header.metadata),
        normalises=header.first in _NORMALISING,
        last=header.last,
    )


def _states(others: Sequence[Tensor], outputs: Sequence[Tensor]) -> dict[str, str]:
    """Of each output that is a state, the input of its type and shape whose name is likest."""
    states: dict[str, str] = {}
    for tensor in others:
        like = [
            one
            for one in outputs
            if one.name not in states and one.shape and (one.kind, one.shape) == _kind(tensor)
        ]
        if like and len(states) + 1 < len(outputs):  # one output is the network's answer
            best = max(like, key=lambda one: SequenceMatcher(None, one.name, tensor.name).ratio())
            states[best.name] = tensor.name
    return states


def _kind(tensor: Tensor) -> tuple[str, Shape | None]:
    return tensor.kind, tensor.shape


def _keypoints(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Of Ultralytics' exports: `kpt_shape`, such as [17, 3]."""
    noted = literal(metadata.get("kpt_shape", ""))
    if isinstance(noted, (list, tuple)) and len(noted) == 2:
        count, numbers = noted
        if isinstance(count, int) and numbers in (2, 3) and count > 0:
            return count, numbers
    return None


@dataclass(frozen=True)
class _Header:
    """What files of each format say, see `ModelFacts`."""

    format: str
    runtime: str
    int8: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    first: str = ""
    last: str = ""


def beside(file: Path) -> tuple[Path, ...]:
    """Files with the same name that belong to a model's file."""
    return tuple(file.with_name(name) for name in files_named(file.name)[1:])


def _onnx(file: Path) -> _Header:
    header = read_header(file, nodes=True)
    return _Header(
        format=f"operator set {header.opset}",
        runtime="onnxruntime",
        int8="quantize",
        inputs=header.inputs,
        outputs=_outputs(file, header),
        metadata=header.metadata,
        names=class_names(header.metadata),
        first=_first(header.nodes, images_of(header.inputs).name),
        last=_giver(header.nodes, header.outputs[0].name if header.outputs else ""),
    )


def _ir(file: Path) -> _Header:
    OpenVinoIr().inspect(file)
    graph = read_ir(file)
    return _Header(
        format=f"OpenVINO IR {graph.version}",
        runtime="openvino",
        int8="" if graph.quantized else "nncf",
        inputs=graph.inputs,
        outputs=graph.outputs,
        # Names of classes as Ultralytics writes them, with _ for blanks and blanks between them.
        names=tuple(graph.metadata.get("labels", "").split()),
        first=_ONNX_NAMES.get(graph.first, graph.first),
        last=_ONNX_NAMES.get(graph.last, graph.last),
    )


def _tflite(file: Path) -> _Header:
    inputs, outputs = (
        tuple(
            # Codes with a scale stand for floats, see `sources.tflite.TfLite.inputs`.
            Tensor(
                one.name,
                "float32" if one.scale else one.kind,
                tuple("?" if size < 0 else size for size in one.shape),
            )
            for one in tensors
        )
        for tensors in read_tensors(file)
    )
    return _Header("LiteRT", "litert", "", inputs, outputs)


_READERS: Mapping[str, Callable[[Path], _Header]] = {
    ".onnx": _onnx,
    ".xml": _ir,
    ".tflite": _tflite,
}
_ONNX_NAMES = {
    "SoftMax": "Softmax",
    "Softmax": "Softmax",
    "Subtract": "Sub",
    "Divide": "Div",
    "Multiply": "Mul",
    "BatchNormInference": "BatchNormalization",
}
"""Operators of OpenVINO that decide something here, by ONNX' names."""


def _outputs(file: Path, header: Header) -> tuple[Tensor, ...]:
    """The outputs; shapes that the file leaves out are inferred where onnx is installed."""
    if all(output.shape for output in header.outputs):
        return header.outputs
    try:
        import onnx
    except ImportError:
        return header.outputs
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(file, load_external_data=False))
    except Exception:  # noqa: BLE001 - of unknown operators and of files over 2 GB, in many ways
        return header.outputs
    shapes = {
        value.name: tuple(
            max(0, size.dim_value) or size.dim_param or "?"
            for size in value.type.tensor_type.shape.dim
        )
        for value in model.graph.output
    }
    return tuple(
        output if output.shape else Tensor(output.name, output.kind, shapes.get(output.name))
        for output in header.outputs
    )


def _size(sides: Shape, metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width: the input's own, or those that the exporter notes (`imgsz`)."""
    height, width = sides
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    noted = literal(metadata.get("imgsz", ""))
    if isinstance(noted, int):
        noted = [noted, noted]
    if isinstance(noted, (list, tuple)) and len(noted) == 2:
        height, width = noted
        if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
            return height, width
    return None


def _first(nodes: tuple[Node, ...], name: str) -> str:
    """The operator that reads a tensor, behind casts; "" for none."""
    for node in nodes:
        if name in node.inputs:
            if node.operator in {"Cast", "Identity"} and node.outputs:
                return _first(nodes[nodes.index(node) + 1 :], node.outputs[0])
            return node.operator
    return ""


def _giver(nodes: tuple[Node, ...], name: str) -> str:
    return next((node.operator for node in nodes if name in node.outputs), "")
