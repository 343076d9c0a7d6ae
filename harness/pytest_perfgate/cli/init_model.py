"""What an ONNX file says of itself, for `pytest-perfgate init`. Nothing of the file is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources.onnx_header import Header, Node, read_header
from pytest_perfgate.sources.onnx_metadata import class_names, literal
from pytest_perfgate.tasks.fitted_inputs import fitted, guessed, images_of
from pytest_perfgate.tasks.input_options import Input

Shape = tuple[int | str, ...]

_NORMALISING = {"Sub", "Div", "Mul", "BatchNormalization"}


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model.

    Attributes:
        image: its input of images.
        others: its further inputs.
        outputs: in their order.
        size: (height, width) of the input; None: any.
        batch: images in a batch; None: any.
        task: the task in the exporter's words, "" where the file does not say.
        names: of the network's classes, in its order; empty where the file does not say.
        normalises: whether the first operator on the input scales pixels.
        last: the operator that gives the first output.
    """

    file: Path
    opset: int
    producer: str
    image: Tensor
    others: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    size: tuple[int, int] | None
    batch: int | None
    task: str
    names: tuple[str, ...]
    normalises: bool
    last: str

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of the outputs; one of any rank has none."""
        return tuple(output.shape or () for output in self.outputs)


def read_model(file: Path) -> ModelFacts:
    """What the file says.

    Raises:
        RecipeError: it is no ONNX graph that takes a batch of images.
    """
    if file.suffix != ".onnx":
        raise RecipeError(
            f"{file.name!r} does not end in .onnx",
            where=str(file),
            valid="an ONNX file",
            next_step="export the model: torch.onnx.export, or yolo export format=onnx; or write "
            f'recipes.toml by hand, with model = "{file.name}" and a runtime that takes it',
        )
    try:
        header = read_header(file, nodes=True)
        image = images_of(header.inputs)
        others = tuple(tensor for tensor in header.inputs if tensor is not image)
        declared = {tensor.name: guessed(tensor)[0] for tensor in others}
        keys = fitted(Input.model_validate({"others": declared}), header.inputs)
    except RecipeError as error:
        raise error.at(str(file)) from None
    shape = image.shape or ("?",) * 4
    sides = shape[2:4] if keys.get("layout") != "NHWC" else shape[1:3]
    return ModelFacts(
        file=file,
        opset=header.opset,
        producer=header.producer,
        image=image,
        others=others,
        outputs=_outputs(file, header),
        size=_size(sides, header.metadata),
        batch=shape[0] if isinstance(shape[0], int) else None,
        task=header.metadata.get("task", "")[:40],
        names=class_names(header.metadata),
        normalises=_first(header.nodes, image.name) in _NORMALISING,
        last=_giver(header.nodes, header.outputs[0].name if header.outputs else ""),
    )


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
            size.dim_value or size.dim_param or "?" for size in value.type.tensor_type.shape.dim
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
